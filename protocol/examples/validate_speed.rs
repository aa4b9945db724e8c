//! Measures the JSON validator on documents of about 1 KiB, in bytes validated a second.
//!
//! `cargo run --release -p docdb-protocol --example validate_speed`
//!
//! Each run goes round 64 different documents, so that no single one is learnt by heart by the
//! processor's branch predictor. Time is the processor's, where Linux tells it, so that other programs on
//! a busy machine do not count; the share of the processor we got is shown beside it. The figures depend on the machine; no test asserts them.

#![expect(clippy::print_stdout, reason = "a measurement has to be shown")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

const DOCUMENTS: usize = 64;
const RUNS: usize = 7;
const RUN_TIME: Duration = Duration::from_millis(400);

fn main() {
    println!("{:<28} {:>9} {:>9} {:>9} {:>9}", "documents", "mean GB/s", "min", "max", "our share");
    report("records, compact", record);
    report("records, spaced", |number| record(number).replace("\":", "\": ").replace(",\"", ", \""));
    report("prose", prose);
    report("prose beyond ASCII", |number| prose(number).replace(['o', 'u'], "ö").replace('e', "é"));
    report("numbers", numbers);
}

fn report(name: &str, make: impl Fn(usize) -> String) {
    let documents: Vec<String> = (0..DOCUMENTS).map(make).collect();
    let (wall, processor) = (Instant::now(), processor_seconds());
    let figures: Vec<f64> = (0..RUNS).map(|_| gigabytes_per_second(&documents)).collect();
    let mean = figures.iter().sum::<f64>() / figures.len() as f64;
    let min = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let max = figures.iter().copied().fold(0.0, f64::max);
    let share = processor.zip(processor_seconds()).map(|(start, end)| (end - start) / wall.elapsed().as_secs_f64());
    let share = share.map_or_else(|| "unknown".to_owned(), |share| format!("{:.0} %", share * 100.0));
    println!("{name:<28} {mean:>9.2} {min:>9.2} {max:>9.2} {share:>9}");
}

fn gigabytes_per_second(documents: &[String]) -> f64 {
    let (start, processor) = (Instant::now(), processor_seconds());
    let mut bytes = 0;
    while start.elapsed() < RUN_TIME {
        for document in documents {
            let valid = docdb_protocol::json::validate(black_box(document.as_bytes())).is_ok();
            assert!(black_box(valid), "the document is valid");
            bytes += document.len();
        }
    }
    let of_processor = processor.zip(processor_seconds()).map(|(start, end)| end - start);
    bytes as f64 / of_processor.unwrap_or_else(|| start.elapsed().as_secs_f64()) / 1e9
}

/// How long this process, of one thread, has run on a processor; only Linux tells.
fn processor_seconds() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat").ok()?;
    let nanoseconds: u64 = text.split(' ').next()?.parse().ok()?;
    Some(nanoseconds as f64 / 1e9)
}

/// What applications store: short keys, strings of all lengths, some numbers, a little nesting.
fn record(number: usize) -> String {
    let mut text = format!(
        r#"{{"id":{},"name":"Customer {number}","email":"customer{number}@mail.example","active":{},"balance":{}.{:02},"created":"2024-0{}-1{}T08:15:30Z""#,
        1_000_000 + number * 7919,
        number.is_multiple_of(3),
        number * 31,
        number,
        1 + number % 9,
        number % 10,
    );
    text.push_str(r#","address":{"street":"12 Long Meadow Lane","city":"Springfield","zip":"04711","country":null}"#);
    text.push_str(r#","orders":["#);
    let mut item = 0;
    while text.len() < 960 {
        let separator = if item == 0 { "" } else { "," };
        let length = (number * 5 + item * 11) % 40;
        let note = &"a short note on the delivery, or none at all"[..length];
        write!(text, r#"{separator}{{"sku":"SKU-{:05}","count":{},"note":"{note}"}}"#, number * item, item + 1)
            .expect("writing to a string cannot fail");
        item += 1;
    }
    text.push_str("]}");
    text
}

fn prose(number: usize) -> String {
    let mut text = format!(r#"{{"title":"Chapter {number}","text":""#);
    while text.len() < 1000 {
        text.push_str("It was the best of times, it was the worst of times; \\\"said\\\" nobody. ");
    }
    text.push_str("\"}");
    text
}

fn numbers(number: usize) -> String {
    let mut text = String::from("[");
    let mut value = number as u64 + 1;
    while text.len() < 1000 {
        value = value.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        write!(text, "{}.{},", value >> 44, value % 1000).expect("writing to a string cannot fail");
    }
    text.push_str("0]");
    text
}
