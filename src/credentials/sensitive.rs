//! Sensitive: header values that no `Debug` shows.

use http::header::HeaderValue;

/// `None` if the text is not valid in a header.
pub(super) fn sensitive(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok().filter(|_| text.is_ascii())?;
    value.set_sensitive(true);
    Some(value)
}
