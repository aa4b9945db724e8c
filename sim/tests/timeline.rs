//! The page about a run says what went wrong, stands alone, and stays a page whatever a document contains.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::Arc;

use docdb_models::Difference;
use docdb_sim::choice::Choices;
use docdb_sim::chronicle::{Broken, Chronicle, Event};
use docdb_sim::disk::{CrashKind, Profile, Unit};
use docdb_sim::oracle::{Differs, Place};
use docdb_sim::replay::Origin;
use docdb_sim::run::{Report, Setup, Verdict};
use docdb_sim::timeline::model::{Crash, Death, Fate, Kind, Row, Timeline};
use docdb_sim::timeline::{Subject, page, timeline};
use docdb_sim::world::{Stepped, World};

/// A page of a whole life is at most as big, however long the life was.
const PAGE_BYTES_MAX: usize = 2 * 1024 * 1024;

fn watched(seed: u64) -> (Report, Chronicle) {
    let mut chronicle = Chronicle::default();
    chronicle.keep();
    Origin::Seed(seed, Setup::default()).run(chronicle).expect("this build can run a seed")
}

fn subject(what: &str) -> Subject {
    Subject { what: what.to_owned(), command: format!("docdb-sim replay {what}"), ..Subject::default() }
}

/// What is wrong with a page, if anything: elements that are not closed in their order, attributes without quotes, and whatever
/// could run or fetch something.
fn flaw(page: &str) -> Option<String> {
    let mut open: Vec<&str> = Vec::new();
    let (mut ids, mut links) = (BTreeSet::new(), BTreeSet::new());
    let body = page.strip_prefix("<!DOCTYPE html>").unwrap_or(page);
    let mut rest = body;
    while let Some(at) = rest.find('<') {
        let text = &rest[..at];
        if text.contains('>') && open.last() != Some(&"style") {
            return Some(format!("a stray > in {text:?}"));
        }
        let end = rest[at..].find('>').map(|end| at + end);
        let Some(end) = end else { return Some(format!("a tag without an end: {:?}", &rest[at..])) };
        let tag = &rest[at + 1..end];
        rest = &rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return Some(format!("</{name}> closes another element"));
            }
            continue;
        }
        let name = tag.split(|letter: char| letter.is_whitespace() || letter == '/').next().unwrap_or_default();
        let known = [
            "html", "head", "meta", "title", "style", "body", "header", "h1", "h2", "p", "pre", "dl", "div", "dt",
            "dd", "section", "table", "tr", "th", "td", "code", "mark", "small", "i", "b", "ol", "ul", "li", "a",
            "span", "details", "summary", "svg", "rect", "text", "line", "g", "circle", "path",
        ];
        if !known.contains(&name) {
            return Some(format!("an element that no page has: <{tag}>"));
        }
        let attributes = tag[name.len()..].trim().trim_end_matches('/');
        let pieces: Vec<&str> = attributes.split('"').collect();
        if pieces.len().is_multiple_of(2) {
            return Some(format!("quotes that do not end: <{tag}>"));
        }
        for pair in pieces.chunks(2) {
            let [key, value] = pair else {
                let is_known = ["", "open"].contains(&pair[0].trim());
                if !is_known {
                    return Some(format!("an attribute without quotes: <{tag}>"));
                }
                continue;
            };
            let key = key.trim().trim_start_matches("open").trim();
            let Some(key) = key.strip_suffix('=') else { return Some(format!("an attribute without quotes: <{tag}>")) };
            if key.starts_with("on") || key == "src" || (key == "href" && !value.starts_with('#')) {
                return Some(format!("it runs or fetches something: <{tag}>"));
            }
            if key == "href" {
                links.insert(value.trim_start_matches('#'));
            }
            if key == "id" && !ids.insert(*value) {
                return Some(format!("two elements are called {value}"));
            }
        }
        if name != "meta" && !tag.ends_with('/') {
            open.push(name);
        }
    }
    let fetches = ["url(", "@import", "http:", "https:", "javascript:"];
    if let Some(fetches) = fetches.iter().find(|what| page.contains(**what)) {
        return Some(format!("it may fetch something: {fetches}"));
    }
    if let Some(nowhere) = links.difference(&ids).next() {
        return Some(format!("a link to {nowhere} leads nowhere"));
    }
    (!open.is_empty()).then(|| format!("not closed: {open:?}"))
}

#[test]
fn a_page_of_any_run_is_whole_and_stands_alone() {
    for seed in 0..30 {
        let (report, chronicle) = watched(seed);
        let page = page(&subject(&seed.to_string()), &report, &chronicle);
        assert_eq!(flaw(&page), None, "seed {seed}");
        assert!(page.len() <= PAGE_BYTES_MAX, "seed {seed}: {} bytes after {} steps", page.len(), report.steps);
        assert!(page.contains("all promises were kept"), "seed {seed}");
        assert!(page.contains("prefers-color-scheme: dark"), "seed {seed}: there are people who read at night");
    }
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    for seed in [3, 17] {
        let pages = [watched(seed), watched(seed)].map(|(report, chronicle)| page(&subject("x"), &report, &chronicle));
        assert!(pages[0] == pages[1], "seed {seed}");
    }
}

/// Each file has one lane, every operation a mark, and every crash says what became of what it decided.
#[test]
fn nothing_that_happened_is_left_out() {
    for seed in 0..30 {
        let (_, chronicle) = watched(seed);
        let Timeline { lanes, lives } = timeline(&chronicle);
        let numbers: BTreeSet<u64> = lanes.iter().map(|lane| lane.number).collect();
        assert_eq!(numbers.len(), lanes.len(), "seed {seed}: a file has one lane");
        let named: BTreeSet<u64> = chronicle.names().iter().flat_map(|names| names.numbers.values().copied()).collect();
        assert_eq!(numbers, named, "seed {seed}: every file has a lane");

        let count = |is: &dyn Fn(&Event) -> bool| chronicle.entries().iter().filter(|entry| is(&entry.event)).count();
        let drawn =
            |is: &dyn Fn(Kind) -> bool| lives.iter().flat_map(|life| &life.marks).filter(|mark| is(mark.kind)).count();
        let is_op = |event: &Event, is: &dyn Fn(&docdb_engine::DiskOp) -> bool| matches!(event, Event::Submitted { op, .. } if is(op));
        use docdb_engine::DiskOp as Op;
        assert_eq!(count(&|event| matches!(event, Event::Requested { .. })), drawn(&|kind| kind == Kind::Request));
        let answers = drawn(&|kind| matches!(kind, Kind::Answer | Kind::Refusal));
        assert_eq!(count(&|event| matches!(event, Event::Answered { .. })), answers, "seed {seed}");
        let writes = count(&|event| is_op(event, &|op| matches!(op, Op::Write { .. })));
        assert_eq!(writes, drawn(&|kind| matches!(kind, Kind::Write(_))), "seed {seed}");
        let syncs = count(&|event| is_op(event, &|op| matches!(op, Op::Sync { .. })));
        assert_eq!(syncs, drawn(&|kind| kind == Kind::Sync), "seed {seed}");
        assert_eq!(count(&|event| matches!(event, Event::Crashed(_))) + 1, lives.len(), "seed {seed}");

        let crashes: Vec<&Crash> = lives.iter().filter_map(|life| life.crash.as_ref()).collect();
        let mut asked: BTreeSet<(usize, u64, usize)> = BTreeSet::new();
        let mut crash = 0;
        for entry in chronicle.entries() {
            match entry.event {
                Event::Crashed(_) => crash += 1,
                Event::Decided { unit: Unit::Sector(number, sector) | Unit::Garbage(number, sector), .. } => {
                    asked.insert((crash, number, sector));
                }
                _ => {}
            }
        }
        // What never had a name has no lane, and nobody will miss it.
        asked.retain(|(_, number, _)| numbers.contains(number));
        let survivals = || crashes.iter().flat_map(|crash| crash.files.values());
        assert_eq!(survivals().map(|it| it.sectors).sum::<usize>(), asked.len(), "seed {seed}");
        for it in survivals() {
            assert_eq!(it.kept + it.older + it.lost + it.torn + it.garbage, it.sectors, "seed {seed}: {it:?}");
        }
    }
}

/// A document that wants to be a page of its own.
const HOSTILE: &str =
    "{\"a\":\"</title></text></style><script>alert(1)</script><img src=x onerror='alert(1)'>&amp;\\u202e\"}";

/// A machine that a test drives in the plain order.
struct Machine(World);

impl Machine {
    fn new() -> Machine {
        let device = Profile::CALM;
        let mut world = World::unborn(docdb_engine::Options::default(), device, Choices::odometer(), &["books"]);
        world.chronicle.keep();
        world.begin().expect("nothing is wrong at the beginning");
        Machine(world)
    }

    fn steps(&mut self) {
        while self.0.step_in_order().expect("nothing is wrong") != Stepped::Idle {}
    }

    fn ask(&mut self, request: docdb_protocol::Request) {
        self.0.request(request).expect("nothing is wrong");
    }

    fn open(&mut self) {
        let request = docdb_sim::oracle::opening(&self.0.checker.databases()[0]);
        self.ask(request);
        self.steps();
    }

    fn create(&mut self, id: u64, text: &str) {
        use docdb_protocol::{Action, Atomicity, CollectionName, Document, DocumentId, Operation, Request};
        let document = Document::parse(text.as_bytes()).expect("the test's documents are valid");
        let operation = Operation {
            collection: CollectionName::parse("_default").expect("it is valid"),
            action: Action::Create(DocumentId::Number(id), document),
        };
        let database = self.0.checker.databases()[0].id.expect("it was opened");
        self.ask(Request::Execute { database, operations: vec![operation], atomicity: Atomicity::EachAlone });
    }
}

#[test]
fn no_document_and_no_name_breaks_out_of_the_page() {
    let mut machine = Machine::new();
    machine.open();
    machine.create(1, HOSTILE);
    machine.steps();
    let mut chronicle = machine.0.chronicle.clone();
    let (mut report, _) = watched(0);
    report.verdict = Verdict::Violation(format!("a message with {HOSTILE}, and {{ fields: {}", "x, ".repeat(100)));
    let content = || Some(Arc::from(HOSTILE.as_bytes()));
    let key = || (Arc::from("</b><script>"), docdb_protocol::DocumentId::Number(1));
    for (expected, found) in [(content(), None), (None, content()), (content(), Some(Arc::from(&b"{\"a\":\"<\"}"[..])))]
    {
        let document = Difference { key: key(), expected, found };
        let place = Place::View { said: 1, compared: 1 };
        let differs = Some(Differs { database: "\"><script>".to_owned(), document, place });
        chronicle.found_broken(Broken { differs, is_by_specification: true });
        let mut subject = subject("\"><script>alert(1)</script>.json");
        subject.planted = Some(("<b".to_owned(), "\"".to_owned()));
        let page = page(&subject, &report, &chronicle);
        assert_eq!(flaw(&page), None);
        assert!(!page.contains("<script"), "a document became an element");
        assert!(page.contains("&lt;script&gt;alert(1)"), "the document is shown as it is");
    }
}

/// A write that no sync covers is lost with the power and at risk before; one that is covered survives.
#[test]
fn what_became_of_a_write_is_told() {
    let fates = |timeline: &Timeline, life: usize| -> Vec<Fate> {
        let marks = timeline.lives[life].marks.iter();
        let log = |row: Row| matches!(row, Row::File(lane) if timeline.lanes[lane].first_name() == Some("db/books/books.wal"));
        marks
            .filter(|mark| log(mark.row))
            .filter_map(|mark| match mark.kind {
                Kind::Write(fate) => Some(fate),
                _ => None,
            })
            .collect()
    };
    let mut machine = Machine::new();
    machine.open();
    machine.create(1, "{\"first\":true}");
    machine.steps();
    machine.create(2, "{\"second\":true}");
    // As far as the write, and no further.
    let written = |machine: &Machine| {
        let performed =
            |event: &Event| matches!(event, Event::Performed { result: Ok(docdb_engine::DiskReply::Written(_)), .. });
        machine.0.chronicle.entries().iter().filter(|entry| performed(&entry.event)).count()
    };
    let before = written(&machine);
    while written(&machine) == before {
        machine.0.step_in_order().expect("nothing is wrong");
    }
    // The engine is told, too: the sync of the first document is over, and does not cover the second.
    machine.0.step_in_order().expect("nothing is wrong");
    let running = timeline(&machine.0.chronicle);
    assert_eq!(fates(&running, 0).last(), Some(&Fate::AtRisk));
    assert!(fates(&running, 0).contains(&Fate::Synced));
    for (answer, fate) in [(0, Fate::Lost), (1, Fate::Kept)] {
        let mut machine = Machine(machine.0.clone());
        let mut decide = |_: Unit, bound: u64| answer.min(bound - 1);
        machine.0.crash_as(CrashKind::Power, &mut decide).expect("nothing is wrong");
        let over = timeline(&machine.0.chronicle);
        let crash = over.lives[0].crash.as_ref().expect("it crashed");
        assert_eq!((crash.death, over.lives.len()), (Death::Power, 2));
        let fates = fates(&over, 0);
        assert_eq!(fates.last(), Some(&fate));
        assert!(fates.contains(&Fate::Synced), "{fates:?}");
        let survival = crash.files.values().find(|survival| survival.sectors > 0).expect("a sector was open");
        assert_eq!(survival.took_something(), fate == Fate::Lost, "{survival:?}");
    }
}

#[test]
fn the_command_writes_the_page_or_says_why_it_cannot() {
    let directory = std::env::temp_dir().join(format!("docdb-sim-timeline-{}", std::process::id()));
    std::fs::create_dir_all(&directory).expect("a temporary directory can be made");
    let run = |file: &std::path::Path| {
        let program = env!("CARGO_BIN_EXE_docdb-sim");
        Command::new(program).args(["replay", "5", "--html"]).arg(file).output().expect("the program runs")
    };
    let file = directory.join("run.html");
    let output = run(&file);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let (report, chronicle) = watched(5);
    let written = std::fs::read_to_string(&file).expect("the page was written");
    assert!(written == page(&subject("5"), &report, &chronicle), "the command writes the library's page");
    let output = run(&directory.join("none/run.html"));
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(error.starts_with("error: ") && error.contains("none/run.html: "), "{error}");
    std::fs::remove_dir_all(&directory).expect("what the test made can be removed");
}

/// The page of a failure leads to it: the message whole, the document, the command that shows it again.
#[cfg(feature = "planted-bugs")]
mod planted {
    use docdb_engine::Bug;
    use docdb_sim::mutants::{first_seeds, setup};
    use docdb_sim::run::{remember_panics, run_seed};

    use super::*;

    fn failing(bug: Bug, seed: u64) -> (Report, Chronicle) {
        let mut chronicle = Chronicle::default();
        chronicle.keep();
        Origin::Seed(seed, setup(bug)).run(chronicle).expect("this build can plant it")
    }

    fn unescaped(page: &str) -> String {
        let page = page.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'");
        page.replace("&amp;", "&").split_whitespace().collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn what_was_not_watched_is_not_explained() {
        let setup = Setup { planted: Some(Bug::DeleteNotReplayed), ..Setup::default() };
        let seed =
            (0..).find(|seed| run_seed(*seed, false, &setup).verdict != Verdict::Kept).expect("it is found soon");
        let mut chronicle = Chronicle::default();
        chronicle.keep();
        chronicle.until(40);
        let (report, chronicle) = Origin::Seed(seed, setup).run(chronicle).expect("this build can plant it");
        assert!(chronicle.broken().is_none(), "the difference is that of another state");
        let page = page(&Subject { until: Some(40), ..subject("7") }, &report, &chronicle);
        assert_eq!(flaw(&page), None);
        assert!(page.contains("WATCHED UP TO HERE") && page.contains("a promise was broken"));
    }

    /// Every so many mistakes one is taken: a page is long to make in a build that is hardly optimised.
    const SAMPLED_EACH: usize = 3;

    #[test]
    fn every_failure_is_told_whole() {
        remember_panics();
        let (mut documents, mut orders) = (0, 0);
        let jobs = std::thread::available_parallelism().map_or(1, usize::from);
        let sample: Vec<Bug> = Bug::ALL.iter().copied().step_by(SAMPLED_EACH).collect();
        for (bug, seed) in first_seeds(&sample, jobs) {
            let (report, chronicle) = failing(bug, seed);
            let Verdict::Violation(message) = &report.verdict else { panic!("{bug:?}: {:?}", report.verdict) };
            let page = page(&subject("7"), &report, &chronicle);
            assert_eq!(flaw(&page), None, "{bug:?}");
            let text = unescaped(&page);
            let words = message.split_whitespace().collect::<Vec<_>>().join(" ").replace("{ ", "{").replace(" }", "}");
            assert!(text.replace("{ ", "{").replace(" }", "}").contains(&words), "{bug:?}: {message}");
            let broken = chronicle.broken().expect("a promise was broken");
            orders += usize::from(broken.is_by_specification);
            // Whoever says "view of transaction" compared documents.
            let is_about_a_document = message.contains(" expected nothing") || message.contains("(expected ");
            let differs = broken.differs.as_ref();
            assert!(differs.is_some() || !is_about_a_document, "{bug:?}: {message}");
            if let Some(differs) = differs {
                documents += 1;
                let (collection, id) = &differs.document.key;
                assert!(text.contains(&format!("document <b>{collection}/{id}</b>")), "{bug:?}");
                assert!(page.contains("concerned\" id=\"e"), "{bug:?}: nothing has to do with {collection}/{id}");
                if message.contains("view of transaction") && is_about_a_document {
                    assert!(
                        message.contains(&differs.document.to_string()),
                        "{bug:?}: {message}, not {}",
                        differs.document
                    );
                }
            }
        }
        assert!(documents >= 3 && orders >= 3, "{documents} differ in a document, {orders} in the order of things");
    }
}
