//! Raw JSON: the parts of a text as they stand in it.

use std::borrow::Cow;

use super::fault::Result;
use super::scan::Scan;

/// The name of a member, and its value as it is written.
type Member<'t> = (Cow<'t, [u8]>, &'t [u8]);

/// The members of the object that a text begins with.
pub(crate) fn members(object: &[u8]) -> Result<Vec<Member<'_>>> {
    let mut scan = Scan::new(object)?;
    scan.is_lenient = true;
    scan.expect(b'{')?;
    let mut members = Vec::new();
    if scan.eat(b'}') {
        return Ok(members);
    }
    loop {
        let name = scan.string()?;
        scan.expect(b':')?;
        members.push((name, scan.value()?));
        if !scan.comma_or(b'}')? {
            return Ok(members);
        }
    }
}

/// The last value of a name in the object that a text begins with.
pub(crate) fn member<'t>(object: &'t [u8], name: &str) -> Option<&'t [u8]> {
    let members = members(object).ok()?;
    members.into_iter().rfind(|member| member.0 == name.as_bytes()).map(|member| member.1)
}

/// The elements of the array that a text begins with, as they are written.
pub(crate) fn elements(array: &[u8]) -> Result<Vec<&[u8]>> {
    let mut scan = Scan::new(array)?;
    scan.is_lenient = true;
    scan.expect(b'[')?;
    let mut elements = Vec::new();
    if scan.eat(b']') {
        return Ok(elements);
    }
    loop {
        elements.push(scan.value()?);
        if !scan.comma_or(b']')? {
            return Ok(elements);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_as_they_are_written() {
        let text = br#" {"a" : [1, {"b":"}"},null ] , "\u0063":"d\"","a":{ "e" : NaN }} and more"#;
        let found = members(text).expect("an object");
        let names: Vec<_> = found.iter().map(|(name, _)| name.as_ref()).collect();
        assert_eq!(names, [&b"a"[..], b"c", b"a"]);
        assert_eq!(member(text, "a"), Some(&br#"{ "e" : NaN }"#[..]));
        assert_eq!(member(text, "c"), Some(&br#""d\"""#[..]));
        assert_eq!(member(text, "x"), None);
        let (_, first) = found.first().expect("a member");
        let list = elements(first).expect("an array");
        assert_eq!(list, [&b"1"[..], br#"{"b":"}"}"#, b"null"]);
        assert!(members(b"{}").expect("empty").is_empty());
        assert!(elements(b" [ ] x").expect("empty").is_empty());
        for wrong in [&b""[..], b"[", b"{", b"{\"a\"}", b"{\"a\":1", b"1", b"{\"a\":1,}"] {
            assert!(members(wrong).is_err() && elements(wrong).is_err());
        }
    }
}
