//! Unknown: the members of an object that the schema does not know, kept as the text that they are.

use std::borrow::Cow;
use std::ops::Range;

use rustc_hash::FxHashSet;

use super::fault::{Fault, Result};
use super::scan::Scan;
use super::wire::push_varint;
use crate::schema::Message;

/// Where the unknown members stand, name to value, of all the objects that are being read: those of
/// the innermost come last.
#[derive(Default)]
pub(super) struct Unknown(Vec<Range<usize>>);

impl Unknown {
    /// Where the members of the next object begin.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    #[cold]
    pub(super) fn keep(&mut self, member: Range<usize>) {
        self.0.push(member);
    }

    /// Forgets what is inside a value that begins after `at` and could not be read.
    #[cold]
    pub(super) fn forget_after(&mut self, at: usize) {
        self.0.retain(|member| member.start <= at);
    }

    /// Writes the members of the object that ends, if it has some, as one object into the field
    /// that keeps them.
    #[inline]
    pub(super) fn finish(
        &mut self,
        first: usize,
        json: &[u8],
        message: &Message,
        out: &mut Vec<u8>,
    ) {
        if self.0.len() > first {
            self.append(first, json, message, out);
        }
    }

    #[cold]
    fn append(&mut self, first: usize, json: &[u8], message: &Message, out: &mut Vec<u8>) {
        let members = self.0.drain(first..);
        let Some(field) = message.unknown() else { return };
        let length: usize = members.as_slice().iter().map(|member| member.len() + 1).sum();
        field.tag.append_to(out);
        push_varint(out, length as u64 + 1);
        let before = std::iter::once(b'{').chain(std::iter::repeat(b','));
        for (member, before) in members.zip(before) {
            out.push(before);
            out.extend_from_slice(json.get(member).unwrap_or_default());
        }
        out.push(b'}');
    }
}

/// A member that was kept.
pub(super) struct Kept<'t> {
    pub(super) name: Cow<'t, [u8]>,
    pub(super) value: &'t [u8],
    /// Both, as they were written.
    pub(super) whole: &'t [u8],
}

/// The members of a kept object, in their order. Somebody may have written it by hand.
///
/// # Errors
/// It is no JSON object.
pub(super) fn kept(object: &[u8]) -> Result<Vec<Kept<'_>>> {
    read_kept(object)
        .map_err(|_| Fault::at("`unknown_json` is not the text of a JSON object", object))
}

/// Objects as one; of a name in several, the last one counts. What is no object gives way.
pub(crate) fn join_unknown(objects: &[Vec<u8>]) -> Cow<'_, [u8]> {
    let mut objects = objects.iter().map(Vec::as_slice).filter(|object| !object.is_empty());
    let read: Vec<_> =
        objects.clone().filter_map(|object| Some((object, read_kept(object).ok()?))).collect();
    match read.as_slice() {
        [] => Cow::Borrowed(objects.next_back().unwrap_or_default()),
        [(alone, _)] => Cow::Borrowed(alone),
        several => Cow::Owned(join(several.iter().map(|(_, members)| members))),
    }
}

/// In linear time: an answer brings as many objects as chunks.
fn join<'m, 't: 'm>(objects: impl DoubleEndedIterator<Item = &'m Vec<Kept<'t>>>) -> Vec<u8> {
    let mut later: FxHashSet<&[u8]> = FxHashSet::default();
    let mut members = Vec::new();
    for object in objects.rev() {
        let old = object.iter().rev().filter(|member| !later.contains(&*member.name));
        members.extend(old.map(|member| member.whole));
        later.extend(object.iter().map(|member| &*member.name));
    }
    members.reverse();
    [b"{", &*members.join(&b','), b"}"].concat()
}

fn read_kept(object: &[u8]) -> Result<Vec<Kept<'_>>> {
    let mut scan = Scan::new(object)?;
    scan.is_lenient = true;
    scan.expect(b'{')?;
    let mut members = Vec::new();
    if !scan.eat(b'}') {
        loop {
            scan.skip_space();
            let start = scan.offset();
            let name = scan.string()?;
            scan.expect(b':')?;
            let value = scan.value()?;
            let whole = object.get(start..scan.offset()).unwrap_or_default();
            members.push(Kept { name, value, whole });
            if !scan.comma_or(b'}')? {
                break;
            }
        }
    }
    scan.expect_end()?;
    Ok(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(objects: &[&str]) -> String {
        let objects: Vec<Vec<u8>> = objects.iter().map(|one| one.as_bytes().to_vec()).collect();
        String::from_utf8(join_unknown(&objects).into_owned()).expect("UTF-8")
    }

    #[test]
    fn of_a_name_in_several_objects_the_last_one_counts() {
        for (objects, expected) in [
            (&[][..], ""),
            (&["", "{ }"], "{ }"),
            (&[r#"{"a":1}"#, r#"{"b":2}"#, r#"{"c":3}"#], r#"{"a":1,"b":2,"c":3}"#),
            (&[r#"{"a":1,"b":1}"#, r#"{"b":2}"#, r#"{"\u0061":3}"#], r#"{"b":2,"\u0061":3}"#),
            (&[r#"{"a":1}"#, r#"{"a":2,"a":3}"#], r#"{"a":2,"a":3}"#),
            (&[r#"{"a":1}"#, "none"], r#"{"a":1}"#),
            (&["none", r#"{"a":1}"#, "[]", r#"{"b":1}"#], r#"{"a":1,"b":1}"#),
            (&["none", "[]"], "[]"),
        ] {
            assert_eq!(joined(objects), expected, "{objects:?}");
        }
    }
}
