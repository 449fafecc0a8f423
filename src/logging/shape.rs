//! The format of a log line: text, or a JSON object.
//!
//! Both formatters see every span, and one of them writes each event. So the format can change while spans
//! are open: each formatter has the span's fields in its own form.

use std::sync::atomic::{AtomicBool, Ordering};

use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::format::{DefaultFields, Format, Json, JsonFields};
use tracing_subscriber::fmt::{self};
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::LookupSpan;

use super::queue::Writer;

static IS_JSON: AtomicBool = AtomicBool::new(false);

/// Sets the format of later events: JSON or text.
pub(super) fn set(json: bool) {
    IS_JSON.store(json, Ordering::Relaxed);
}

/// Writes events in the current format.
pub(super) struct Shape<S> {
    text: fmt::Layer<S, DefaultFields, Format, Writer>,
    json: fmt::Layer<S, JsonFields, Format<Json>, Writer>,
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Shape<S> {
    /// `colours` applies to text.
    pub(super) fn new(colours: bool) -> Self {
        Self {
            text: fmt::layer().with_ansi(colours).with_writer(Writer::start(colours)),
            json: fmt::layer().json().flatten_event(true).with_writer(Writer::start(false)),
        }
    }
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> Layer<S> for Shape<S> {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, context: Context<'_, S>) {
        self.text.on_new_span(attributes, id, context.clone());
        self.json.on_new_span(attributes, id, context);
    }

    fn on_record(&self, id: &Id, values: &Record<'_>, context: Context<'_, S>) {
        self.text.on_record(id, values, context.clone());
        self.json.on_record(id, values, context);
    }

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        match IS_JSON.load(Ordering::Relaxed) {
            true => self.json.on_event(event, context),
            false => self.text.on_event(event, context),
        }
    }
}
