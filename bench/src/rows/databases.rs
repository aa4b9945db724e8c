//! Many databases of one data directory, open at the same time.

use std::path::Path;
use std::time::{Duration, Instant};

use docdb::{Database, DocDb};

use super::Group;
use crate::embedded::{Embedded, document};
use crate::grouping::Outcome;
use crate::report::{Report, Target};

/// So many of the first and of the last creations are compared.
const COMPARED: usize = 100;
/// Closed and opened again a round.
const CLOSED: usize = 50;

/// One directory with one database, one with many.
pub(super) struct Databases {
    alone: Embedded,
    among: Embedded,
    others: Vec<Database>,
    /// Microseconds a creation, of the first ones and of the last ones.
    creations: (f64, f64),
    document: Vec<u8>,
    next_id: u64,
}

impl Databases {
    pub(super) fn prepare(folder: &Path, databases: u32) -> Outcome<Databases> {
        let alone = Embedded::create(&folder.join("one"))?;
        let among = Embedded::create(&folder.join("many"))?;
        let (mut others, mut took) = (Vec::new(), Vec::new());
        for number in 1..databases {
            let start = Instant::now();
            others.push(create(&among.docdb, number)?);
            took.push(start.elapsed().as_secs_f64() * 1e6);
        }
        let mean = |some: &[f64]| some.iter().sum::<f64>() / some.len().max(1) as f64;
        let compared = COMPARED.min(took.len());
        let creations = (mean(&took[..compared]), mean(&took[took.len() - compared..]));
        Ok(Databases { alone, among, others, creations, document: document(), next_id: 0 })
    }
}

fn create(docdb: &DocDb, number: u32) -> Outcome<Database> {
    Ok(docdb.database(&format!("database-{number}"))?)
}

impl Group for Databases {
    fn measure(&mut self, duration: Duration, report: &mut Report) -> Outcome<()> {
        let open = self.others.len() + 1;
        let row = |what: &str| format!("{open} databases open: {what}");
        let alone = self.alone.write(1, duration)?.rate;
        let among = self.among.write(1, duration)?.rate;
        report.figure("one database open: us a commit", 1e6 / alone.per_second);
        report.figure(row("us a commit"), 1e6 / among.per_second);
        report.goal(row("a commit of one alone"), Target::AtMost(1.1), alone.per_second / among.per_second);
        report.figure("one database open: processor us a commit", alone.processor_us);
        report.figure(row("processor us a commit"), among.processor_us);

        let others: Vec<_> =
            self.others.iter().map(|database| database.collection("bench")).collect::<Result<_, _>>()?;
        let (start, mut commits) = (Instant::now(), 0_u32);
        while start.elapsed() < duration {
            for documents in &others {
                documents.create_bytes(self.next_id, &self.document)?;
                commits += 1;
                if start.elapsed() >= duration {
                    break;
                }
            }
            self.next_id += 1;
        }
        report.figure(row("us a commit, round robin"), start.elapsed().as_secs_f64() * 1e6 / f64::from(commits));

        let closed = &self.others[..CLOSED.min(self.others.len())];
        let start = Instant::now();
        for database in closed {
            database.close()?;
        }
        report.figure(row("us a closing"), start.elapsed().as_secs_f64() * 1e6 / closed.len().max(1) as f64);
        for database in closed {
            database.view()?;
        }
        report.figure("one database open: us a creation", self.creations.0);
        report.figure(row("us a creation"), self.creations.1);
        Ok(())
    }
}
