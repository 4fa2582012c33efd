//! Intake: reads a request whole, within its size, a time, and the memory of all requests.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tonic::Status;

use super::account::Account;
use super::discard::discard;
use crate::call::frame::Whole;

/// How requests are taken in.
pub(super) struct Intake {
    pub(super) memory: Memory,
    pub(super) request_timeout: Duration,
}

impl Intake {
    /// Reads a whole request, within its size, the memory of all requests and its time.
    ///
    /// # Errors
    /// Which of these it exceeded, or that it broke.
    pub(super) async fn receive(
        &self,
        head: &Parts,
        mut body: Incoming,
        account: &mut Account,
        limit: usize,
    ) -> Result<Bytes, Status> {
        let too_large = |size| {
            let text =
                format!("a request of {size} bytes is larger than the limit of {limit} bytes");
            Status::out_of_range(text)
        };
        let read = async {
            let stated = body.size_hint().lower();
            if stated > limit as u64 {
                return Err(too_large(stated));
            }
            let mut whole = Whole::default();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| Status::cancelled("the request broke off"))?;
                let Ok(data) = frame.into_data() else { continue };
                account.hold(self.memory.take(data.len())?);
                let length = whole.add(data);
                if length > limit {
                    return Err(too_large(length as u64));
                }
            }
            Ok(whole.into_bytes())
        };
        let patience = self.request_timeout;
        let read = timeout(patience, read).await.unwrap_or_else(|_| {
            let text = format!("the request did not arrive within {patience:?}");
            Err(Status::deadline_exceeded(text))
        });
        if read.is_err() {
            discard(head, body);
        }
        read
    }
}

/// The bytes of requests that may be in hand, of all calls together.
pub(super) struct Memory(Arc<Semaphore>);

impl Memory {
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes.min(Semaphore::MAX_PERMITS))))
    }

    fn take(&self, bytes: usize) -> Result<OwnedSemaphorePermit, Status> {
        let permit = u32::try_from(bytes)
            .ok()
            .and_then(|bytes| Arc::clone(&self.0).try_acquire_many_owned(bytes).ok());
        permit.ok_or_else(|| {
            Status::resource_exhausted("the sidecar holds as many bytes of requests as it may")
        })
    }
}
