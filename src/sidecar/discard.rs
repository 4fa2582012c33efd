//! Discard: what is left of a refused request is read on for a while, so that its client gets to read why.
//!
//! Where it were dropped, the connection or the stream would be closed under a client that still writes, and many
//! then report that, and not the answer.

use std::time::Duration;

use http::HeaderMap;
use http::header::EXPECT;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::time::timeout;

/// Reads the rest beside the answer, and keeps none of it. Who waits for `100 Continue` is not asked to send it.
pub(super) fn discard(headers: &HeaderMap, mut body: Incoming) {
    if body.is_end_stream() || headers.contains_key(EXPECT) {
        return;
    }
    tokio::spawn(async move {
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        // What has not come by then is cut off.
        let _ = timeout(LIMIT, rest).await;
    });
}

const LIMIT: Duration = Duration::from_secs(5);
