//! TensorBoard event files: length-prefixed, checksummed protocol buffers.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

/// `tensorflow.Event`, as far as scalars need it.
#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(double, tag = "1")]
    wall_time: f64,
    #[prost(int64, tag = "2")]
    step: i64,
    #[prost(string, optional, tag = "3")]
    file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    summary: Option<Summary>,
}

#[derive(Clone, PartialEq, Message)]
struct Summary {
    #[prost(message, repeated, tag = "1")]
    value: Vec<Value>,
}

#[derive(Clone, PartialEq, Message)]
struct Value {
    #[prost(string, tag = "1")]
    tag: String,
    #[prost(float, optional, tag = "2")]
    simple_value: Option<f32>,
}

/// A growing event file.
#[derive(Debug)]
pub(super) struct Events {
    file: File,
}

impl Events {
    /// Opens `folder/events.out.tfevents.tweedie` to add to it.
    pub(super) fn open(folder: &Path) -> io::Result<Events> {
        let path = folder.join("events.out.tfevents.tweedie");
        let new = !path.exists();
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        let mut events = Events { file };
        if new {
            events.write(Event {
                wall_time: now(),
                file_version: Some("brain.Event:2".to_owned()),
                ..Event::default()
            })?;
        }
        Ok(events)
    }

    /// Adds scalars of a step.
    pub(super) fn scalars(&mut self, step: u64, scalars: &[(String, f64)]) -> io::Result<()> {
        let value = scalars
            .iter()
            .map(|(tag, v)| Value {
                tag: tag.clone(),
                simple_value: Some(*v as f32),
            })
            .collect();
        self.write(Event {
            wall_time: now(),
            step: step as i64,
            summary: Some(Summary { value }),
            ..Event::default()
        })
    }

    /// One record: length, its checksum, data, their checksum; in a single write, so that a kill cannot split it.
    fn write(&mut self, event: Event) -> io::Result<()> {
        let data = event.encode_to_vec();
        let length = (data.len() as u64).to_le_bytes();
        let mut record = Vec::with_capacity(data.len() + 16);
        record.extend_from_slice(&length);
        record.extend_from_slice(&masked_crc(&length).to_le_bytes());
        record.extend_from_slice(&data);
        record.extend_from_slice(&masked_crc(&data).to_le_bytes());
        self.file.write_all(&record)
    }
}

fn masked_crc(bytes: &[u8]) -> u32 {
    crc32c::crc32c(bytes)
        .rotate_right(15)
        .wrapping_add(0xa282_ead8)
}

fn now() -> f64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0.0, |d| d.as_secs_f64())
}
