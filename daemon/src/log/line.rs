//! From an event to its line.
//!
//! Owns both forms of a line. Fields that are neither the message nor the database are figures: JSON has them as they
//! are, words leave them to the message. A control character, which only a name of a file or a message of the operating
//! system could bring, is written as its escape.

use std::fmt::{self, Write};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use super::LogFormat;

/// Formats events.
pub(crate) struct Form(pub(crate) LogFormat);

const MESSAGE: &str = "message";
const DATABASE: &str = "database";

impl<S, N> FormatEvent<S, N> for Form
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let mut time = String::new();
        SystemTime.format_time(&mut Writer::new(&mut time))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        let line = match self.0 {
            LogFormat::Words => fields.words(&time, level(*event.metadata().level())),
            LogFormat::Json => fields.json(&time, level(*event.metadata().level())),
        };
        writeln!(writer, "{line}")
    }
}

fn level(level: Level) -> &'static str {
    match level {
        Level::ERROR => "error",
        Level::WARN => "warning",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    }
}

/// What an event says.
#[derive(Default)]
struct Fields {
    message: String,
    database: Option<String>,
    figures: Map<String, Value>,
}

impl Fields {
    fn put(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            (MESSAGE, Value::String(text)) => self.message = text,
            (DATABASE, Value::String(text)) => self.database = Some(text),
            (name, value) => {
                self.figures.insert(name.to_owned(), value);
            }
        }
    }

    fn words(&self, time: &str, level: &str) -> String {
        let mut line = format!("{time} {level:<7} ");
        if let Some(database) = &self.database {
            plain(database, &mut line);
            line.push_str(": ");
        }
        plain(&self.message, &mut line);
        line
    }

    fn json(self, time: &str, level: &str) -> String {
        let mut object = Map::new();
        object.insert("time".to_owned(), time.into());
        object.insert("level".to_owned(), level.into());
        if let Some(database) = self.database {
            object.insert(DATABASE.to_owned(), database.into());
        }
        object.insert(MESSAGE.to_owned(), self.message.into());
        object.extend(self.figures);
        Value::Object(object).to_string()
    }
}

impl Visit for Fields {
    fn record_u64(&mut self, field: &Field, value: u64) {
        self.put(field, value.into());
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field, value.into());
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field, value.into());
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field, value.into());
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.into());
    }

    /// The message, and what is given to be displayed, comes here in its displayed form.
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}").into());
    }
}

/// Appends a text without control characters.
fn plain(text: &str, line: &mut String) {
    for character in text.chars() {
        if character.is_control() {
            // Writing to a text cannot fail.
            let _ = write!(line, "{}", character.escape_default());
        } else {
            line.push(character);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails where it stands")]
mod tests {
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::layer::SubscriberExt;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl std::io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Written;

        fn make_writer(&'a self) -> Written {
            self.clone()
        }
    }

    /// What is logged while `say` runs, without the times.
    fn said(format: LogFormat, say: impl FnOnce()) -> String {
        let written = Written::default();
        let lines = tracing_subscriber::fmt::layer().event_format(Form(format)).with_writer(written.clone());
        tracing::subscriber::with_default(tracing_subscriber::Registry::default().with(lines), say);
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        let without_time = |line: &str| match format {
            LogFormat::Words => line.split_once(' ').unwrap().1.to_owned(),
            LogFormat::Json => line.to_owned(),
        };
        text.lines().map(without_time).collect::<Vec<_>>().join("\n")
    }

    fn say() {
        tracing::info!("listening on {}", "a.sock");
        tracing::warn!(database = %"books", documents = 7_u64, "opened with {} documents", 7);
        tracing::error!(path = %"a\nb", "a\nfile named \u{1b}[31m");
    }

    #[test]
    fn an_event_is_one_line_of_words() {
        assert_eq!(
            said(LogFormat::Words, say),
            "info    listening on a.sock\n\
             warning books: opened with 7 documents\n\
             error   a\\nfile named \\u{1b}[31m"
        );
    }

    #[test]
    fn an_event_is_one_object() {
        let said = said(LogFormat::Json, say);
        let objects: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(objects.len(), 3);
        assert_eq!(objects[1]["level"], "warning");
        assert_eq!(objects[1]["database"], "books");
        assert_eq!(objects[1]["documents"], 7);
        assert_eq!(objects[1]["message"], "opened with 7 documents");
        assert_eq!(objects[2]["path"], "a\nb");
        // RFC 3339, in UTC.
        let time = objects[0]["time"].as_str().unwrap();
        assert!(time.len() == "2026-11-29T03:20:11.123456Z".len() && time.ends_with('Z'), "{time}");
    }
}
