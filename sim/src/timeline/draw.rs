//! Draws a strip as SVG: shapes and classes. Colours are the style sheet's.

use super::html::{escaped, put};
use super::model::{Crash, Death, Fate, Kind, Lane, Mark, Row};
use super::strip::{End, LEFT, LINE, Placed, Placement, RIGHT, Strip, TOP, Tone, label, text_width};

/// Between two steps that are written above a strip.
const STEP_EVERY: u32 = 56;

/// The room that the words at the end of a life take.
const TITLE: u32 = 240;

/// How the run ended, as it is written at its last line.
pub(super) struct Ending<'words> {
    pub(super) words: &'words str,
    pub(super) tone: Tone,
}

/// A strip as an element `svg`.
pub(super) fn strip(strip: &Strip<'_>, lanes: &[Lane], ending: &Ending<'_>) -> String {
    let height = strip.height + 4;
    let mut svg = format!("<svg width=\"{RIGHT}\" height=\"{height}\" viewBox=\"0 0 {RIGHT} {height}\">\n");
    rows(&mut svg, strip, lanes);
    steps(&mut svg, strip);
    for placement in &strip.rows {
        let of_row = strip.marks.iter().filter(|placed| placed.mark.row == placement.row);
        for placed in of_row {
            span(&mut svg, strip, placed, placement);
            mark(&mut svg, placed, placement);
        }
    }
    if let Some(end) = &strip.end {
        ends(&mut svg, strip, end, ending);
    }
    svg.push_str("</svg>\n");
    svg
}

fn rows(svg: &mut String, strip: &Strip<'_>, lanes: &[Lane]) {
    // A file is called what it was called when the strip began.
    let at_end = || strip.end.and_then(|end| end.crash).map(|crash| crash.moment);
    let begins = strip.marks.first().map(|placed| placed.mark.moment).or_else(at_end).unwrap_or_default();
    for Placement { row, y, height, .. } in &strip.rows {
        let (class, name, whole) = match row {
            Row::Asked => ("people", "clients ask", "what clients ask"),
            Row::Answered => ("people", "are answered", "what clients are answered"),
            Row::Readers => ("people", "readers see", "the newest transaction that readers see, by database"),
            Row::Machine => {
                ("people", "machine, operator", "faults of the machine; what its operator does and is told")
            }
            Row::Names => ("names", "names", "changes of names, and syncs of directories"),
            Row::File(lane) => {
                let name = lanes[*lane].name_at(begins);
                ("file", name.strip_prefix("db/").unwrap_or(name), name)
            }
        };
        put!(svg, "<rect class=\"row {class}\" x=\"0\" y=\"{y}\" width=\"{RIGHT}\" height=\"{height}\"/>");
        let baseline = y + 16;
        let shown = cut_front(name, LEFT - 14);
        put!(
            svg,
            "<text class=\"lane\" x=\"6\" y=\"{baseline}\">{}<title>{}</title></text>",
            escaped(&shown),
            escaped(whole)
        );
    }
    let (bottom, top) = (strip.height, TOP);
    put!(svg, "<line class=\"edge\" x1=\"{LEFT}\" y1=\"{top}\" x2=\"{LEFT}\" y2=\"{bottom}\"/>");
}

/// The last letters of a name that fit.
fn cut_front(name: &str, room: u32) -> String {
    let (mut shown, mut cut) = (name.to_owned(), 0);
    while text_width(&shown) > room {
        cut += 1;
        shown = format!("…{}", name.chars().skip(cut).collect::<String>());
    }
    shown
}

fn steps(svg: &mut String, strip: &Strip<'_>) {
    let mut free = 0;
    let mut last = None;
    let until = strip.end.map_or(RIGHT, |end| if end.x + TITLE > RIGHT { end.x - TITLE } else { end.x });
    for placed in &strip.marks {
        let step = placed.mark.moment.step;
        if placed.x >= free && placed.x + STEP_EVERY / 2 <= until && last != Some(step) {
            put!(svg, "<text class=\"step\" x=\"{}\" y=\"13\">{step}</text>", placed.x);
            (free, last) = (placed.x + STEP_EVERY, Some(step));
        }
    }
}

/// A thin line from the submission of an operation to its completion: a sync covers what was over before its line began.
fn span(svg: &mut String, strip: &Strip<'_>, placed: &Placed<'_>, placement: &Placement) {
    let Some((submitted, told)) = placed.mark.span else { return };
    if matches!(placed.mark.kind, Kind::Quiet) {
        return;
    }
    let end_of_life = strip.end.map(|end| end.x);
    let from = strip.x_of(submitted).unwrap_or(LEFT);
    let to = match told {
        Some(told) => strip.x_of(told).unwrap_or(RIGHT),
        None => end_of_life.unwrap_or(RIGHT),
    };
    let y = placement.y + 22;
    if from < to {
        put!(svg, "<line class=\"span\" x1=\"{from}\" y1=\"{y}\" x2=\"{to}\" y2=\"{y}\"/>");
    }
}

fn mark(svg: &mut String, placed: &Placed<'_>, placement: &Placement) {
    let Placed { x, width, mark, more } = placed;
    let y = placement.y + 3;
    let mut class = class(mark.kind).to_owned();
    for (is_so, name) in
        [(mark.is_failed, " failed"), (mark.is_in_flight, " inflight"), (mark.is_concerned, " concerned")]
    {
        if is_so {
            class.push_str(name);
        }
    }
    let id = if mark.is_concerned { format!(" id=\"e{}\"", mark.moment.event) } else { String::new() };
    let and_more = if *more > 0 { format!(" (and {more} more that change nothing)") } else { String::new() };
    put!(
        svg,
        "<g class=\"m {class}\"{id}><title>step {}: {}{and_more}</title>",
        mark.moment.step,
        escaped(&mark.words)
    );
    let text = label(mark, *more);
    let mut text_x = x + 4;
    match mark.kind {
        Kind::Quiet if !mark.is_failed => {
            put!(svg, "<circle cx=\"{}\" cy=\"{}\" r=\"2\"/>", x + 3, y + 9);
            text_x = x + 7;
        }
        Kind::Sync => {
            let (top, height) = (placement.y, placement.height);
            put!(svg, "<rect x=\"{x}\" y=\"{top}\" width=\"5\" height=\"{height}\"/>");
            text_x = x + 7;
        }
        Kind::Fault => {
            put!(svg, "<path d=\"M{} {}l5 -8h-4l2 -6h5l-3 5h4z\"/>", x + 1, y + 16);
            text_x = x + 11;
        }
        Kind::Named => {
            put!(svg, "<path d=\"M{} {}l5 5l-5 5z\"/>", x + 1, y + 4);
            text_x = x + 9;
        }
        Kind::Quiet
        | Kind::Request
        | Kind::Answer
        | Kind::Refusal
        | Kind::View
        | Kind::Operator
        | Kind::Alert
        | Kind::Write(_)
        | Kind::Zeros(_)
        | Kind::NameChange(_)
        | Kind::Removal(_)
        | Kind::SyncDirectory => {
            let radius = if matches!(mark.kind, Kind::Write(_) | Kind::Zeros(_)) { 1 } else { 8 };
            put!(svg, "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"18\" rx=\"{radius}\"/>");
            if let Kind::Write(Fate::Partly { kept, of }) | Kind::Zeros(Fate::Partly { kept, of }) = mark.kind {
                let part = width * u32::try_from(kept).unwrap_or(0) / u32::try_from(of.max(1)).unwrap_or(1);
                put!(svg, "<rect class=\"part\" x=\"{x}\" y=\"{y}\" width=\"{part}\" height=\"18\" rx=\"1\"/>");
            }
            if mark.is_concerned {
                put!(svg, "<path class=\"star\" d=\"{}\"/>", star(x + 9, y + 9));
                text_x = x + 16;
            }
        }
    }
    if !text.is_empty() {
        put!(svg, "<text x=\"{text_x}\" y=\"{}\">{}</text>", y + 13, escaped(&text));
    }
    svg.push_str("</g>\n");
}

fn star(x: u32, y: u32) -> String {
    format!("M{x} {}l1.6 3.8l4 .3l-3.1 2.6l1 4l-3.5 -2.2l-3.5 2.2l1 -4l-3.1 -2.6l4 -.3z", y - 5)
}

fn ends(svg: &mut String, strip: &Strip<'_>, end: &End<'_>, ending: &Ending<'_>) {
    let (x, bottom) = (end.x, strip.height);
    let (class, words) = match end.crash {
        Some(crash) if crash.death == Death::Stopped && !crash.took_something() => ("crash stop", crash_words(crash)),
        Some(crash) => ("crash", crash_words(crash)),
        None => {
            let class = match ending.tone {
                Tone::Kept => "end good",
                Tone::Lost => "end",
                Tone::Calm => "end stop",
            };
            (class, ending.words.to_owned())
        }
    };
    put!(svg, "<g class=\"{class}\"><line x1=\"{x}\" y1=\"2\" x2=\"{x}\" y2=\"{bottom}\"/>");
    let (text_x, anchor) = if x + TITLE > RIGHT { (x - 6, " text-anchor=\"end\"") } else { (x + 6, "") };
    put!(svg, "<text x=\"{text_x}\" y=\"13\"{anchor}>{}</text></g>", escaped(&words));
    for placement in &strip.rows {
        let mut y = placement.y + LINE + 2;
        for (line, tone) in &placement.left {
            let class = match tone {
                Tone::Kept => "kept",
                Tone::Lost => "lost",
                Tone::Calm => "calm",
            };
            put!(svg, "<text class=\"left {class}\" x=\"{}\" y=\"{y}\">{}</text>", x + 8, escaped(line));
            y += LINE;
        }
    }
}

/// What a crash is called.
pub(super) fn crash_words(crash: &Crash) -> String {
    let step = crash.moment.step;
    match (crash.death, crash.is_power_cut) {
        (Death::Power, _) => format!("POWER LOSS after step {step}"),
        (Death::Process, _) => format!("THE PROCESS DIES after step {step}"),
        (Death::Stopped, true) => format!("stopped; then power is cut, after step {step}"),
        (Death::Stopped, false) => format!("stopped; started again after step {step}"),
    }
}

/// The class of a mark in the style sheet.
fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::Request => "request",
        Kind::Answer => "answer",
        Kind::Refusal => "refusal",
        Kind::View => "view",
        Kind::Operator => "operator",
        Kind::Alert => "alert",
        Kind::Write(fate) => match fate {
            Fate::Synced => "write synced",
            Fate::AtRisk => "write atrisk",
            Fate::Kept => "write luck",
            Fate::Lost => "write gone",
            Fate::Partly { .. } => "write partly",
            Fate::Broken => "write broken",
            Fate::Replaced | Fate::Removed | Fate::Untold => "write past",
        },
        Kind::Zeros(fate) => match fate {
            Fate::Synced | Fate::AtRisk | Fate::Kept | Fate::Replaced | Fate::Removed | Fate::Untold => "zeros",
            Fate::Lost | Fate::Partly { .. } => "zeros gone",
            Fate::Broken => "zeros broken",
        },
        Kind::NameChange(fate) | Kind::Removal(fate) => match fate {
            Fate::Synced => "name synced",
            Fate::AtRisk => "name atrisk",
            Fate::Kept => "name luck",
            Fate::Lost | Fate::Partly { .. } => "name gone",
            Fate::Broken => "name broken",
            Fate::Replaced | Fate::Removed | Fate::Untold => "name past",
        },
        Kind::Sync => "sync",
        Kind::SyncDirectory => "name dirsync",
        Kind::Named => "named",
        Kind::Quiet => "quiet",
        Kind::Fault => "fault",
    }
}

/// A mark in a list: its step, linked to where it is drawn, and its words.
pub(super) fn listed(mark: &Mark) -> String {
    format!("{} {}", step(mark), escaped(&mark.words))
}

/// A request in a list, cut to what concerns the document that differs, with its answer.
pub(super) fn listed_request(asked: &Mark, answer: Option<&Mark>) -> String {
    let words = |mark: &Mark| escaped(mark.brief.as_ref().unwrap_or(&mark.words));
    let number = asked.request.map_or(String::new(), |number| format!("request {number}: "));
    let answered = match answer {
        Some(answer) => format!("; {} <b>{}</b>", step(answer), words(answer)),
        None => "; <b>never answered</b>".to_owned(),
    };
    format!("{} {number}{}{answered}", step(asked), words(asked))
}

fn step(mark: &Mark) -> String {
    let step = mark.moment.step;
    if mark.is_concerned {
        format!("<a href=\"#e{}\">step {step}</a>", mark.moment.event)
    } else {
        format!("<span class=\"when\">step {step}</span>")
    }
}
