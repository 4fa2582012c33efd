//! Exchange: a request of a path and bytes, as its caller wrote it, without an HTTP rule.

use http::header::HeaderMap;

use crate::error::Error;
use crate::transport::carrier::http1::HttpVersions;
use crate::transport::rest::RestTransport;
use crate::transport::rest::answer::exchange::{Exchanged, Expected, Terms, read_exchange};
use crate::transport::rest::request::RestRequest;

impl RestTransport {
    /// Sends a request once and reads what answers it as far as `expected` says.
    ///
    /// # Errors
    /// The network broke it, or something other than the service answered.
    pub(crate) async fn exchange(
        &self,
        request: RestRequest,
        headers: HeaderMap,
        versions: HttpVersions,
        expected: Expected,
    ) -> Result<Exchanged, Error> {
        let sending = self.send_http(request, headers, versions)?;
        let answer = sending.await?;
        let terms = Terms {
            schema: &self.schema,
            origin: &self.origin,
            expected,
            max_body: self.settings.max_message_size,
            max_error: self.settings.max_metadata_size,
        };
        read_exchange(answer, terms).await
    }
}
