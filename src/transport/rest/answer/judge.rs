//! Judge: whether a JSON text is a message of the method, or what it is instead.

use bytes::Bytes;
use tonic::Status;

use super::frame::with_length;
use super::reading::Reading;
use super::status::read_status;
use crate::call::frame::PREFIX_LENGTH;
use crate::json::{Fault, Notes, members, read_answer, read_field, room_for};
use crate::schema::Special;
use crate::symptom::style::is_error;
use crate::symptom::words::first_value;

/// Where a text stands in its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Position {
    /// The whole of a unary answer.
    Alone,
    /// Before any message of the stream that said something.
    First,
    Later,
}

/// A message of the method.
#[derive(Debug)]
pub(crate) struct Readable {
    pub(crate) frame: Bytes,
    /// It is not empty.
    pub(crate) says_something: bool,
}

/// Why a text is no message.
pub(crate) enum Unreadable {
    /// It is the service's error.
    Failure(Box<Status>),
    /// It is somebody else's.
    Foreign,
    /// It is JSON that is cut or wrong.
    Broken(Box<Fault>),
}

impl Reading {
    /// The message that a text is.
    pub(crate) fn read(&self, text: &[u8], position: Position) -> Result<Readable, Unreadable> {
        let text = text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text);
        let text = self.unwrap(text, position).unwrap_or(text);
        let mut frame = Vec::with_capacity(PREFIX_LENGTH + room_for(text));
        frame.resize(PREFIX_LENGTH, 0);
        let read = match self.response_body() {
            Some(field) => read_field(&self.schema, field, text, &mut frame),
            None => read_answer(&self.schema, self.method.output, text, &mut frame),
        };
        match read {
            Ok(notes) if self.is_foreign(text, notes, position) => {
                Err(self.failure(text).unwrap_or(Unreadable::Foreign))
            }
            Ok(notes) => {
                self.tell(notes.leniences);
                let says_something = frame.len() > PREFIX_LENGTH;
                Ok(Readable { frame: with_length(frame), says_something })
            }
            Err(fault) => Err(self.failure(text).unwrap_or_else(|| {
                let may_be_message = text.trim_ascii().starts_with(b"{") && !has_error_shape(text);
                if may_be_message { Unreadable::Broken(fault) } else { Unreadable::Foreign }
            })),
        }
    }

    /// Whether an object that could be read is no message all the same. One that says nothing the
    /// schema knows is none where it comes alone or first; later it may be a newer service's,
    /// unless it has the shape of an error.
    fn is_foreign(&self, text: &[u8], notes: Notes, position: Position) -> bool {
        if notes.has_error {
            return true;
        }
        if !notes.has_unknown || self.has_known(text) {
            return false;
        }
        let is_first = position != Position::Later || self.is_empty();
        is_first || has_error_shape(text)
    }

    /// Whether an object has a member that the schema knows.
    fn has_known(&self, text: &[u8]) -> bool {
        let message = self.message().map(|id| self.schema.message(id));
        let is_known = |name: &[u8]| message.is_some_and(|it| it.field_of_name(name).is_some());
        members(text).is_ok_and(|members| members.iter().any(|(name, _)| is_known(name)))
    }

    /// The service's error that a text is. A long text that only begins as one must not become a
    /// tree.
    fn failure(&self, text: &[u8]) -> Option<Unreadable> {
        let may_be_error = text.len() <= self.max_metadata_size;
        let status = may_be_error.then(|| read_status(&self.schema, 200, text)).flatten()?;
        Some(Unreadable::Failure(Box::new(status)))
    }

    /// What stands in `{"result": ..}`, in which grpc-gateway wraps each message of a stream.
    fn unwrap<'t>(&self, text: &'t [u8], position: Position) -> Option<&'t [u8]> {
        let inside = text.trim_ascii_start().strip_prefix(b"{")?.trim_ascii_start();
        if position == Position::Alone
            || !inside.starts_with(b"\"result\"")
            || !self.may_be_wrapped()
        {
            return None;
        }
        let members = members(text).ok()?;
        let mut said = members.into_iter().filter(|(_, value)| *value != b"null");
        let (_, result) = said.next()?;
        (said.next().is_none() && result.starts_with(b"{")).then_some(result)
    }

    /// Whether the names that grpc-gateway wraps with mean nothing in the message itself.
    fn may_be_wrapped(&self) -> bool {
        let message = self.message().map(|id| self.schema.message(id));
        message.is_some_and(|message| {
            let names = [&b"result"[..], b"error"];
            message.special == Special::No
                && names.iter().all(|name| message.field_of_name(name).is_none())
        })
    }
}

/// Whether a text is an object in the shape of an error, whoever wrote it.
fn has_error_shape(text: &[u8]) -> bool {
    let value = std::str::from_utf8(text).ok().and_then(first_value);
    value.is_some_and(|(_, value)| is_error(&value))
}

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
