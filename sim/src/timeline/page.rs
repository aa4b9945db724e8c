//! The page: what went wrong in words, then the run in strips. One file that needs no other and no network, without scripts.

use docdb_models::Content;

use super::draw::{self, Ending};
use super::html::{escaped, put};
use super::model::{Kind, Life, Timeline};
use super::story::{self, Story, Told};
use super::strip::{Strip, Tone, strips};
use crate::chronicle::{Broken, Chronicle};
use crate::oracle::{Differs, Place};
use crate::run::{Report, Verdict};

const STYLE: &str = include_str!("page.css");

/// Strips of an open life that are open themselves: the last ones.
const OPEN_STRIPS_MAX: usize = 4;

/// Letters of a message in a line.
const LINE_LETTERS_MAX: usize = 110;

/// A life with no more marks than this is hardly one.
const TRIFLES_MAX: usize = 4;

/// Bytes of a document that are shown whole.
const DOCUMENT_BYTES_MAX: usize = 4000;

/// What the page is about, as the command line knows it.
#[derive(Clone, Debug, Default)]
pub struct Subject {
    /// The seed, or the trace's name.
    pub what: String,
    /// The command that shows the run again.
    pub command: String,
    /// A mistake that was planted in the engine: its name, and what is done wrong.
    pub planted: Option<(String, String)>,
    /// Nothing behind this step was watched.
    pub until: Option<u64>,
}

/// A run as a page of HTML.
#[must_use]
pub fn page(subject: &Subject, report: &Report, chronicle: &Chronicle) -> String {
    let timeline = super::timeline(chronicle);
    let (is_good, headline) = match &report.verdict {
        Verdict::Kept => (true, "all promises were kept"),
        Verdict::Violation(_) => (false, "a promise was broken"),
        Verdict::Harness(_) => (false, "the simulator failed"),
    };
    let mut page = String::new();
    put!(&mut page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">");
    put!(&mut page, "<meta name=\"viewport\" content=\"width=device-width\">");
    put!(
        &mut page,
        "<title>DocDB, {}: {headline}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>",
        escaped(&subject.what)
    );
    put!(&mut page, "<header class=\"{}\">", if is_good { "good" } else { "bad" });
    put!(&mut page, "<h1>{}: {headline}</h1>", escaped(&named(&subject.what)));
    verdict(&mut page, report, chronicle.broken());
    put!(&mut page, "</header>");
    facts(&mut page, subject, report);
    match chronicle.broken() {
        Some(Broken { differs: Some(differs), .. }) => {
            difference(&mut page, differs);
            history(&mut page, &timeline);
        }
        Some(Broken { differs: None, .. }) => end_of_run(&mut page, &timeline),
        None => {}
    }
    legend(&mut page);
    let is_cut = subject.until.is_some_and(|until| until < report.steps);
    let broken = headline.to_uppercase();
    let ending = match (is_cut, is_good) {
        (true, _) => Ending { words: "WATCHED UP TO HERE", tone: Tone::Calm },
        (false, true) => Ending { words: "THE RUN ENDS WELL", tone: Tone::Kept },
        (false, false) => Ending { words: &broken, tone: Tone::Lost },
    };
    lives(&mut page, &timeline, &ending);
    put!(&mut page, "</body>\n</html>");
    page
}

fn named(what: &str) -> String {
    if what.parse::<u64>().is_ok() { format!("seed {what}") } else { what.to_owned() }
}

fn verdict(page: &mut String, report: &Report, broken: Option<&Broken>) {
    match &report.verdict {
        Verdict::Kept => {
            put!(
                page,
                "<p>Through {} crashes and {} requests of clients, every answer was right, everything that was acknowledged was \
                 there again, and nothing was shown that a crash took back.</p>",
                report.tally.crashes,
                report.tally.requests
            );
        }
        Verdict::Violation(message) | Verdict::Harness(message) => {
            let is_by_specification = broken.is_some_and(|broken| broken.is_by_specification);
            let message = if is_by_specification { spread(message) } else { message.clone() };
            put!(page, "<pre class=\"message\">{}</pre>", escaped(&message));
            if is_by_specification {
                put!(
                    page,
                    "<p>The engine took a step that the model-checked specification of its protocol (models/src/spec) does not \
                     allow in this state. No document needs to differ yet: the order itself is wrong, and a crash at the \
                     right moment would take what has been promised.</p>"
                );
            }
        }
    }
}

/// A message that ends with a state of a specification, as many of its outermost fields in a line as fit.
fn spread(message: &str) -> String {
    let Some((before, state)) = message.split_once(" { ") else { return message.to_owned() };
    let (mut fields, mut depth) = (vec![String::new()], 0usize);
    for letter in state.chars() {
        match letter {
            '{' | '[' | '(' => depth += 1,
            '}' | ']' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        let field = fields.last_mut().expect("there is always one");
        match letter {
            ' ' if field.is_empty() => {}
            ',' if depth == 0 => {
                field.push(',');
                fields.push(String::new());
            }
            letter => field.push(letter),
        }
    }
    let mut spread = format!("{before} {{\n   ");
    let mut taken = 0;
    for field in fields {
        if taken > 0 && taken + field.len() > LINE_LETTERS_MAX {
            spread.push_str("\n   ");
            taken = 0;
        }
        spread.push(' ');
        spread.push_str(&field);
        taken += field.len();
    }
    spread
}

fn facts(page: &mut String, subject: &Subject, report: &Report) {
    put!(page, "<dl class=\"facts\">");
    let mut fact = |name: &str, value: &str| put!(page, "<div><dt>{name}</dt><dd>{}</dd></div>", escaped(value));
    fact("mixture of faults", report.profile.name());
    if let Some((name, what)) = &subject.planted {
        fact("planted mistake", &format!("{name}: {what}"));
    }
    fact("steps", &report.steps.to_string());
    fact("requests", &report.tally.requests.to_string());
    fact("crashes", &report.tally.crashes.to_string());
    let struck: Vec<String> =
        report.faults.iter().filter(|(_, count)| *count > 0).map(|(kind, count)| format!("{kind} {count}")).collect();
    fact("faults that struck", &if struck.is_empty() { "none".to_owned() } else { struck.join(", ") });
    fact("hash", &format!("{:016x}", report.hash));
    fact("again", &subject.command);
    if let Some(until) = subject.until {
        fact("shown", &format!("up to step {until}; what came later was not watched"));
    }
    put!(page, "</dl>");
}

fn difference(page: &mut String, differs: &Differs) {
    let (collection, id) = &differs.document.key;
    let what = match (&differs.document.expected, &differs.document.found) {
        (Some(_), None) => "is missing",
        (None, _) => "is there, and must not be",
        (Some(_), Some(_)) => "is not what it must be",
    };
    put!(page, "<section class=\"difference\"><h2>The first document that differs</h2>");
    put!(
        page,
        "<p>In database <b>{}</b>, document <b>{}</b> {what}.</p>",
        escaped(&differs.database),
        escaped(&format!("{collection}/{id}"))
    );
    let place = match differs.place {
        Place::View { said, compared } if said == compared => {
            format!("Readers are shown the state after transaction {said}, and it is not that state.")
        }
        Place::View { said, compared } if said < compared => format!(
            "Readers are shown the state after transaction {said}; what clients had been told needs at least the state after \
             transaction {compared}, with which it is compared here."
        ),
        Place::View { said, compared } => format!(
            "Readers are shown the state after transaction {said}; there can be none later than the state after transaction \
             {compared}, with which it is compared here."
        ),
        Place::Answer(id) => format!("It was shown in the answer to request {}.", id.0),
    };
    put!(page, "<p>{}</p>", escaped(&place));
    let common = match (&differs.document.expected, &differs.document.found) {
        (Some(expected), Some(found)) => {
            expected.iter().zip(found.iter()).take_while(|(one, other)| one == other).count()
        }
        _ => 0,
    };
    put!(page, "<table class=\"sides\">");
    for (name, content) in [("expected", &differs.document.expected), ("found", &differs.document.found)] {
        put!(page, "<tr class=\"{name}\"><th>{name}</th><td>{}</td></tr>", side(content.as_ref(), common));
    }
    put!(page, "</table></section>");
}

/// A document's bytes, those from `common` on marked.
fn side(content: Option<&Content>, common: usize) -> String {
    let Some(content) = content else { return "<i>nothing</i>".to_owned() };
    let text = |bytes: &[u8]| escaped(&String::from_utf8_lossy(bytes));
    let shown = &content[..content.len().min(DOCUMENT_BYTES_MAX)];
    let (same, other) = shown.split_at(common.min(shown.len()));
    let marked = if common > 0 && !other.is_empty() { format!("<mark>{}</mark>", text(other)) } else { text(other) };
    let more = if shown.len() < content.len() { "…" } else { "" };
    format!("<code>{}{marked}{more}</code> <small>{} bytes</small>", text(same), content.len())
}

fn history(page: &mut String, timeline: &Timeline) {
    let Story { left_out, told } = story::of_document(timeline);
    put!(page, "<section><h2>What this document went through</h2><ol class=\"story\">");
    if left_out > 0 {
        put!(page, "<li class=\"calm\">{left_out} things earlier</li>");
    }
    told.into_iter().for_each(|told| line(page, timeline, told, false));
    put!(page, "</ol></section>");
}

/// A line of a story. The view, or the answer, in which a document is not as it must be, is what was refused.
fn line(page: &mut String, timeline: &Timeline, told: Told<'_>, is_refused: bool) {
    let (class, words) = match told {
        Told::Asked(asked, answer) => ("", draw::listed_request(asked, answer)),
        Told::Mark(mark) => {
            let is_refused = is_refused || (mark.kind == Kind::View && mark.is_concerned);
            (if is_refused { "refused" } else { "" }, draw::listed(mark))
        }
        Told::Crash(crash) => {
            ("crash", escaped(&format!("{}: {}", draw::crash_words(crash), story::taken(crash, timeline))))
        }
    };
    put!(page, "<li class=\"{class}\">{words}</li>");
}

/// Where no document differs, the order of things is what there is to see.
fn end_of_run(page: &mut String, timeline: &Timeline) {
    put!(page, "<section class=\"columns\">");
    put!(page, "<div><h2>The last moments, up to what was refused</h2><ol class=\"story\">");
    let moments = story::last_moments(timeline);
    let last = moments.len().saturating_sub(1);
    moments.into_iter().enumerate().for_each(|(index, told)| line(page, timeline, told, index == last));
    put!(page, "</ol></div>");
    let at_risk = story::at_risk(timeline);
    if !at_risk.is_empty() {
        put!(page, "<div><h2>What a power loss could take at this moment</h2><ol class=\"story\">");
        at_risk.into_iter().for_each(|mark| line(page, timeline, Told::Mark(mark), false));
        put!(page, "</ol></div>");
    }
    put!(page, "</section>");
}

fn legend(page: &mut String) {
    put!(page, "{}", include_str!("legend.html"));
}

fn lives(page: &mut String, timeline: &Timeline, ending: &Ending<'_>) {
    put!(page, "<section class=\"lives\"><h2>The run</h2>");
    let count = timeline.lives.len();
    let loss = story::last_loss(timeline);
    let is_bad = ending.tone == Tone::Lost;
    for (number, life) in timeline.lives.iter().enumerate() {
        // The end, what it came up from, and what the document went through.
        let is_long = life.marks.len() > TRIFLES_MAX;
        let is_cause = (number + 2 == count && is_long) || loss == Some(number) || story::is_concerned(life);
        let is_open = number + 1 == count || (is_bad && is_cause);
        let from = life.marks.first().map_or(0, |mark| mark.moment.step);
        let until = life.crash.as_ref().map(|crash| crash.moment).or(life.marks.last().map(|mark| mark.moment));
        let until = until.map_or(from, |moment| moment.step);
        let how = match &life.crash {
            Some(crash) => format!("{}: {}", draw::crash_words(crash), story::taken(crash, timeline)),
            None => ending.words.to_owned(),
        };
        put!(page, "<details class=\"life\"{}>", if is_open { " open" } else { "" });
        put!(
            page,
            "<summary><b>Life {} of {count}</b> steps {from} to {until} · {} · <span class=\"how\">{}</span></summary>",
            number + 1,
            escaped(&story::summary(life)),
            escaped(&how)
        );
        let last = if number + 2 >= count || loss == Some(number) { OPEN_STRIPS_MAX } else { 1 };
        life_in_strips(page, life, timeline, ending, last);
        put!(page, "</details>");
    }
    put!(page, "</section>");
}

/// Open are the last strips of a life and those with something of the document that differs; others are folded.
fn life_in_strips(page: &mut String, life: &Life, timeline: &Timeline, ending: &Ending<'_>, last: usize) {
    let strips = strips(life);
    let is_open = |index: usize| {
        index + last >= strips.len() || strips[index].marks.iter().any(|placed| placed.mark.is_concerned)
    };
    let mut next = 0;
    while next < strips.len() {
        let from = next;
        let folds = !is_open(from);
        while next < strips.len() && is_open(next) != folds {
            next += 1;
        }
        if folds {
            let step = |strip: &Strip<'_>| strip.marks.first().map_or(0, |placed| placed.mark.moment.step);
            let (count, first) = (next - from, step(&strips[from]));
            let strips = if count == 1 { "one strip" } else { &format!("{count} strips") };
            put!(page, "<details class=\"earlier\"><summary>{strips}, from step {first} on</summary>");
        }
        for strip in &strips[from..next] {
            put!(page, "<div class=\"strip\">{}</div>", draw::strip(strip, &timeline.lanes, ending));
        }
        if folds {
            put!(page, "</details>");
        }
    }
}
