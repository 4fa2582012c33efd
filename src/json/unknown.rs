//! Unknown: the members of an object that the schema does not know, kept as the text that they are.

use std::borrow::Cow;

use super::fault::{Fault, Result};
use super::scan::Scan;
use super::wire::push_varint;
use crate::schema::Field;

/// Members as they were written, while their object is read.
#[derive(Default)]
pub(super) struct Unknown<'a>(Vec<&'a [u8]>);

impl<'a> Unknown<'a> {
    /// Name, colon and value.
    #[cold]
    pub(super) fn keep(&mut self, member: &'a [u8]) {
        self.0.push(member);
    }

    /// Writes them as one object into the field that keeps them.
    #[inline]
    pub(super) fn append_to(&self, field: Option<&Field>, out: &mut Vec<u8>) {
        if let (Some(field), false) = (field, self.0.is_empty()) {
            self.append(field, out);
        }
    }

    #[cold]
    fn append(&self, field: &Field, out: &mut Vec<u8>) {
        let members: usize = self.0.iter().map(|member| member.len() + 1).sum();
        field.tag.append_to(out);
        push_varint(out, members as u64 + 1);
        for (member, before) in
            self.0.iter().zip(std::iter::once(b'{').chain(std::iter::repeat(b',')))
        {
            out.push(before);
            out.extend_from_slice(member);
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

/// Two objects as one; of a name in both, what comes after counts. What is no object gives way.
pub(crate) fn join_unknown(before: &[u8], after: &[u8]) -> Vec<u8> {
    if before.is_empty() || after.is_empty() {
        return [before, after].concat();
    }
    match (read_kept(before), read_kept(after)) {
        (Ok(old), Ok(new)) => {
            let is_old = |one: &&Kept<'_>| new.iter().all(|other| other.name != one.name);
            let members = old.iter().filter(is_old).chain(&new).map(|member| member.whole);
            [b"{", &*members.collect::<Vec<_>>().join(&b','), b"}"].concat()
        }
        (Ok(_), Err(_)) => before.to_vec(),
        (Err(_), _) => after.to_vec(),
    }
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
            if !scan.eat(b',') {
                break;
            }
        }
        scan.expect(b'}')?;
    }
    scan.expect_end()?;
    Ok(members)
}
