//! Object: its members come in any order, and some of them are unknown to the schema.

use super::{Mode, Reader};
use crate::json::fault::{Fault, Result};
use crate::json::slot_set::{Replaced, SlotSet};
use crate::json::wire::MAX_DEPTH;
use crate::schema::{Field, Message, RestOnly, Shape};

impl Reader<'_> {
    /// An object of fields; one name may be passed over.
    pub(super) fn object(
        &mut self,
        message: &Message,
        depth: u32,
        except: Option<&[u8]>,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        self.scan.expect(b'{')?;
        if self.scan.eat(b'}') {
            return Ok(());
        }
        let mut seen = SlotSet::default();
        let first_unknown = self.unknown.len();
        let start = out.len();
        let mut next = &*message.fields;
        loop {
            self.scan.skip_space();
            let at = self.scan.offset();
            let field = match self.usual_name(message, &mut next) {
                Some(field) => Some(field),
                None => self.other_name(message, depth, except)?,
            };
            if let Some(field) = field {
                let before = out.len();
                if let Err(fault) = self.member(field, depth, &mut seen, at, out) {
                    out.truncate(before);
                    self.keep_unread(field, fault, at, message)?;
                }
                if self.says_more {
                    self.says_more = false;
                    self.keep_since(at, message);
                }
            }
            if !self.scan.comma_or(b'}')? {
                break;
            }
        }
        if let Some(repeats) = seen.into_repeats() {
            Self::keep_last(message, repeats, start, out)?;
        }
        self.unknown.finish(first_unknown, self.json, message, out);
        Ok(())
    }

    /// Keeps the member from `at` to where the scan stands, if the message has a field for it.
    #[cold]
    fn keep_since(&mut self, at: usize, message: &Message) {
        if message.unknown().is_some() {
            self.unknown.keep(at..self.scan.offset());
        }
    }

    /// A member of an answer that is not of the type which the overlay has for it: that type is
    /// only what was known of the service at one time. It is kept like an unknown one.
    #[cold]
    fn keep_unread(
        &mut self,
        field: &Field,
        fault: Box<Fault>,
        at: usize,
        message: &Message,
    ) -> Result<()> {
        if self.mode != Mode::Answer || field.rest_only == RestOnly::No {
            return Err(fault.inside(&field.name));
        }
        self.scan.go_to(self.json, at);
        self.scan.string()?;
        self.scan.expect(b':')?;
        self.scan.value()?;
        self.forget_value(at);
        self.keep_since(at, message);
        Ok(())
    }

    /// Forgets what was noted of a value that begins after `at` and could not be read.
    #[cold]
    pub(super) fn forget_value(&mut self, at: usize) {
        (self.in_list, self.left_out, self.says_more) = (false, false, false);
        self.unknown.forget_after(at);
    }

    /// The field whose name comes next, written without escapes, and its colon. Most of them come
    /// in their order, so the first of `next` is tried first; then those behind it are the next.
    #[inline]
    fn usual_name<'m>(
        &mut self,
        message: &'m Message,
        next: &mut &'m [Field],
    ) -> Option<&'m Field> {
        if let [field, after @ ..] = next {
            let (key, length) = field.short_key();
            if self.scan.eat_start(key, length) {
                *next = after;
                return Some(field);
            }
        }
        let mut scan = self.scan;
        let at = message.index_of_name(scan.plain_string()?)?;
        let (field, after) = message.fields.get(at..)?.split_first()?;
        if !scan.eat(b':') {
            return None;
        }
        self.scan = scan;
        *next = after;
        Some(field)
    }

    /// The same for any other name: one with escapes, or an unknown one, which is kept; then
    /// `None`.
    #[inline(never)]
    fn other_name<'m>(
        &mut self,
        message: &'m Message,
        depth: u32,
        except: Option<&[u8]>,
    ) -> Result<Option<&'m Field>> {
        let at = self.scan.offset();
        let name = self.scan.string()?;
        self.scan.expect(b':')?;
        if let Some(field) = message.field_of_name(&name) {
            return Ok(Some(field));
        }
        let is_passed_over = match self.mode {
            Mode::Strict => except == Some(&*name),
            // One that is known is not unknown, and has no place here.
            Mode::PassUnknown => !self.schema.has_extension(&name),
            Mode::Answer => true,
        };
        if is_passed_over {
            let value = self.scan.value()?;
            if except != Some(&*name) {
                self.keep_since(at, message);
            }
            if depth == OUTERMOST {
                self.notes.has_unknown = true;
                // A text or an object that is not empty.
                self.notes.has_error |=
                    *name == *b"error" && matches!(value, [b'"' | b'{', _, _, ..]);
            }
            return Ok(None);
        }
        let name = String::from_utf8_lossy(&name);
        Err(Fault::new(format!("`{}` has no field `{name}`", message.name), at))
    }

    /// The value of a member of an object, if it is not absent.
    #[inline]
    fn member(
        &mut self,
        field: &Field,
        depth: u32,
        seen: &mut SlotSet,
        at: usize,
        out: &mut Vec<u8>,
    ) -> Result<()> {
        if self.scan.is_next(b'n') && !self.takes_null(field) {
            self.mark_field(field, seen, at, out)?;
            return self.scan.word("null");
        }
        if !seen.add_new(field) {
            self.mark_field(field, seen, at, out)?;
            if field.in_oneof && seen.was(field.slot) {
                self.repeat(seen, Replaced::Oneof(field.slot), out.len(), at)?;
            }
        }
        self.field(field, depth, out)
    }

    /// Marks the name of a member; that it came before is a repeat, even of what is absent.
    #[cold]
    fn mark_field(
        &mut self,
        field: &Field,
        seen: &mut SlotSet,
        at: usize,
        out: &[u8],
    ) -> Result<()> {
        if seen.was(field.index) {
            self.repeat(seen, Replaced::Field(field.number), out.len(), at)?;
        }
        Ok(())
    }

    /// `null` means absent, except where it is a value of its own.
    fn takes_null(&self, field: &Field) -> bool {
        match (field.shape, field.kind) {
            (Shape::Repeated | Shape::Map, _) => false,
            (_, kind) => self.null_is_value(kind),
        }
    }
}

/// How deep the fields of the outermost message may go.
const OUTERMOST: u32 = MAX_DEPTH - 1;
