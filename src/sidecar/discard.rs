//! Discard: what is left of a refused request is read on for a while, so that its client gets to
//! read why.
//!
//! Where it were dropped, an HTTP/1.1 connection would be closed under a client that still writes,
//! and many then report that, and not the answer. A stream of HTTP/2 is reset without an error
//! after its answer ([RFC 9113, section 8.1](https://www.rfc-editor.org/rfc/rfc9113#section-8.1)).

use std::time::Duration;

use bytes::Bytes;
use http::Version;
use http::header::EXPECT;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

/// Reads the rest beside the answer, and keeps none of it. Who waits for `100 Continue` is not
/// asked to send it.
pub(super) fn discard(head: &Parts, mut body: Incoming) {
    let is_one_of_many = head.version == Version::HTTP_2;
    if is_one_of_many || body.is_end_stream() || head.headers.contains_key(EXPECT) {
        return;
    }
    tokio::spawn(async move {
        let rest = async {
            let mut room = MOST;
            while let Some(Ok(part)) = body.frame().await {
                match room.checked_sub(part.data_ref().map_or(1, Bytes::len)) {
                    Some(left) => room = left,
                    None => return,
                }
            }
        };
        // What has not come by then is cut off.
        let _ = timeout(LIMIT, rest).await;
    });
}

const LIMIT: Duration = Duration::from_secs(5);
/// Bytes; a client that sends more does not stop at an answer.
const MOST: usize = 32 << 20;
