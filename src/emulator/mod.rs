//! Emulator: a local Gemini, on gRPC and REST from one script.
//!
//! It shares no transcoding with the bridge, so that a test does not compare the bridge with
//! itself: its JSON is prost-reflect's, and it has its own HTTP rules and its own gRPC. This module
//! has no semver guarantees.
//!
//! ```no_run
//! use genai_bridge::emulator::{Emulator, Reply};
//!
//! # async fn example() -> std::io::Result<()> {
//! let emulator = Emulator::start().await?;
//! let method = "/google.ai.generativelanguage.v1beta.GenerativeService/GenerateContent";
//! emulator.once(method, Reply::error(tonic::Status::resource_exhausted("slow down")));
//! // ... calls against emulator.endpoint(), trusting emulator.root_certificate() ...
//! assert_eq!(emulator.count(method), 1);
//! # Ok(())
//! # }
//! ```

#[cfg(not(any(feature = "aws-lc", feature = "ring")))]
compile_error!(
    "the feature `emulator` makes certificates: it needs the feature `aws-lc` or `ring`"
);

mod admission;
mod author;
mod authority;
mod binding;
mod delivery;
mod dispatch;
mod field;
mod files;
mod framing;
mod gemini;
mod grpc;
pub mod hostile;
mod json;
mod message;
mod methods;
mod page;
mod port;
mod query;
mod record;
mod refusal;
mod rest;
mod script;
mod service;
mod tasks;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tonic::Status;

pub use authority::Authority;
pub use hostile::{Fault, HostileProxy};
pub use page::Page;
pub use record::Received;
pub use script::Reply;

use admission::Admission;
use author::Author;
use files::store::Files;
use methods::Methods;
use port::Port;
use record::Record;
use rest::page_key;
use script::Script;
use service::Service;
use tasks::Tasks;

/// A running service on its own port. Dropping it stops it and closes all its connections.
///
/// # Panics
/// When it is dropped, if one of its tasks panicked: the test must not pass then.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    authority: Option<Authority>,
    port: Port,
    service: Arc<Service>,
    tasks: Tasks,
}

/// The options of an [`Emulator`].
#[derive(Debug, Default)]
#[must_use]
pub struct EmulatorBuilder {
    descriptors: Option<Vec<u8>>,
    authority: Option<Authority>,
    is_plaintext: bool,
    max_concurrent_streams: Option<u32>,
    initial_window: Option<u32>,
    connection_age: Option<Duration>,
    key: Option<String>,
    upload_granularity: Option<usize>,
}

impl Emulator {
    /// Starts Gemini's v1 and v1beta with built-in answers, over TLS.
    ///
    /// # Errors
    /// No port is free.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// Begins the options of an emulator.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::default()
    }

    /// The endpoint for [`BridgeBuilder::endpoint`](crate::BridgeBuilder::endpoint).
    pub fn endpoint(&self) -> String {
        match self.authority {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    /// Serves a client on this stream, as if the client had connected to the port.
    ///
    /// With [`EmulatorBuilder::unbound`] and
    /// [`BridgeBuilder::connector`](crate::BridgeBuilder::connector) there is no socket between
    /// bridge and emulator.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn serve(&self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        self.tasks.spawn(self.port.clone().serve(stream));
    }

    /// The address that it listens on. An [unbound](EmulatorBuilder::unbound) emulator has an
    /// address for its URL only.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The root certificate to trust, as PEM; empty in plaintext.
    pub fn root_certificate(&self) -> &str {
        self.authority.as_ref().map_or("", Authority::pem)
    }

    /// Scripts the answer to every call of a method (`/package.Service/Method`) from now on.
    ///
    /// # Panics
    /// If there is no such method.
    pub fn on(&self, method: &str, reply: Reply) {
        self.require(method);
        self.service.script.set(method, reply);
    }

    /// Scripts the answer to the next call of a method. Several are used in order, before the
    /// answer of [`on`](Self::on).
    ///
    /// # Panics
    /// If there is no such method.
    pub fn once(&self, method: &str, reply: Reply) {
        self.require(method);
        self.service.script.push(method, reply);
    }

    /// Scripts the answer to every request with this verb and path from now on, whether or not a
    /// proto has the path. The query is ignored.
    pub fn on_path(&self, verb: &http::Method, path: &str, page: Page) {
        self.service.pages.set(&page_key(verb, path), page);
    }

    /// Scripts the answer to the next request with this verb and path, before the answer of
    /// [`on_path`](Self::on_path).
    pub fn once_path(&self, verb: &http::Method, path: &str, page: Page) {
        self.service.pages.push(&page_key(verb, path), page);
    }

    /// Computes the answer to each call that has no scripted answer, from its method and its
    /// message. `None` means the built-in answer. The function runs once for each call that is not
    /// refused.
    pub fn answer_with(
        &self,
        author: impl Fn(&str, &Bytes) -> Option<Reply> + Send + Sync + 'static,
    ) {
        self.service.author.set(author);
    }

    /// Checks the headers of each call. If the function returns an error, the call gets it as its
    /// answer.
    pub fn admit_with(
        &self,
        admit: impl Fn(&HeaderMap) -> Result<(), Status> + Send + Sync + 'static,
    ) {
        self.service.admission.set(admit);
    }

    /// The content of an uploaded file. The first one is `files/file-1`.
    pub fn file(&self, name: &str) -> Option<Bytes> {
        self.service.files.content(name.strip_prefix("files/").unwrap_or(name))
    }

    /// The number of uploads that began and are neither complete nor cancelled.
    pub fn open_uploads(&self) -> usize {
        self.service.files.uploads()
    }

    /// Forgets all scripted answers and all received calls.
    pub fn clear(&self) {
        self.service.script.clear();
        self.service.author.clear();
        self.service.pages.clear();
        self.service.record.clear();
    }

    /// The calls so far, in the order in which their requests arrived completely.
    pub fn received(&self) -> Vec<Received> {
        self.service.record.received()
    }

    /// The number of calls of a method so far.
    pub fn count(&self, method: &str) -> usize {
        self.received().iter().filter(|call| call.method() == method).count()
    }

    /// The number of calls that the client cancelled: by resetting the stream, or over HTTP/1.1 by
    /// closing the connection.
    pub fn reset_streams(&self) -> usize {
        self.service.record.cancelled()
    }

    /// Waits until `count` calls have arrived, at most 20 s, and returns all calls so far.
    pub async fn received_when(&self, count: usize) -> Vec<Received> {
        self.service.record.received_when(count).await
    }

    /// Waits until the client has cancelled `count` calls, at most 20 s. Returns the number of
    /// cancelled calls.
    pub async fn cancelled_when(&self, count: usize) -> usize {
        self.service.record.cancelled_when(count).await
    }

    fn require(&self, method: &str) {
        assert!(self.service.methods.find(method).is_some(), "there is no method {method}");
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.tasks.abort_all();
        if self.tasks.have_panicked() && !std::thread::panicking() {
            std::panic::resume_unwind(Box::new("the emulator panicked"));
        }
    }
}

impl EmulatorBuilder {
    /// Serves the methods of a `FileDescriptorSet` in place of Gemini's.
    pub fn descriptors(mut self, descriptors: &[u8]) -> Self {
        self.descriptors = Some(descriptors.to_vec());
        self
    }

    /// Serves HTTP/1.1 and HTTP/2 (with prior knowledge) without TLS.
    pub fn plaintext(mut self) -> Self {
        self.is_plaintext = true;
        self
    }

    /// Issues its certificate with this authority. Default: a new authority.
    pub fn authority(mut self, authority: Authority) -> Self {
        self.authority = Some(authority);
        self
    }

    /// The most concurrent streams on an HTTP/2 connection. Default: hyper's, 200.
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.max_concurrent_streams = Some(streams);
        self
    }

    /// The initial flow-control window of an HTTP/2 stream, in bytes. With 0, a client can send no
    /// body at all.
    pub fn initial_window(mut self, bytes: u32) -> Self {
        self.initial_window = Some(bytes);
        self
    }

    /// Closes each connection gracefully at this age, as front ends do. Over HTTP/2 it sends GOAWAY
    /// and finishes the running calls.
    pub fn connection_age(mut self, age: Duration) -> Self {
        self.connection_age = Some(age);
        self
    }

    /// Requires this API key, in `x-goog-api-key` or in the parameter `key`.
    pub fn require_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Requires that every piece of an upload, except the last, is a multiple of this size.
    /// Default: 8 MiB, as at the service.
    pub fn upload_granularity(mut self, bytes: usize) -> Self {
        self.upload_granularity = Some(bytes);
        self
    }

    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// The descriptors cannot be read, one of their HTTP rules is wrong, or no port is free.
    pub async fn start(self) -> io::Result<Emulator> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let emulator = self.serve_as(listener.local_addr()?)?;
        let accepting = emulator.port.clone().accept(listener, emulator.tasks.clone());
        emulator.tasks.spawn(accepting);
        Ok(emulator)
    }

    /// Makes an emulator that has no port and serves only the streams given to [`Emulator::serve`].
    /// Its endpoint is port 443 of `localhost`, or in plaintext port 80 of 127.0.0.1.
    ///
    /// # Errors
    /// The descriptors cannot be read, or one of their HTTP rules is wrong.
    pub fn unbound(self) -> io::Result<Emulator> {
        let port = if self.is_plaintext { 80 } else { 443 };
        self.serve_as((Ipv4Addr::LOCALHOST, port).into())
    }

    fn serve_as(self, address: SocketAddr) -> io::Result<Emulator> {
        let methods = match &self.descriptors {
            Some(descriptors) => Arc::new(Methods::decode(descriptors)?),
            None => Methods::gemini()?,
        };
        let (script, pages) = (Script::default(), Script::default());
        let record = Arc::new(Record::default());
        let granularity = self.upload_granularity.unwrap_or(UPLOAD_GRANULARITY);
        let files = Files::new(granularity, self.is_plaintext);
        let service = Arc::new(Service {
            methods,
            script,
            author: Author::default(),
            pages,
            files,
            record,
            key: self.key,
            admission: Admission::default(),
        });
        let authority = self.authority.unwrap_or_else(|| Authority::new("Emulator root"));
        let authority = Some(authority).filter(|_| !self.is_plaintext);
        let tasks = Tasks::default();
        let mut http = auto::Builder::new(tasks.clone());
        // What is sent must not depend on the clock on the wall, not even its length in HPACK.
        http.http1().auto_date_header(false);
        http.http2().auto_date_header(false);
        if let Some(streams) = self.max_concurrent_streams {
            http.http2().max_concurrent_streams(streams);
        }
        http.http2().initial_stream_window_size(self.initial_window);
        let tls = authority.as_ref().map(|authority| {
            TlsAcceptor::from(authority.server_config(HOST_NAMES, &[b"h2", b"http/1.1"]))
        });
        let age = self.connection_age;
        let port = Port { tls, http, age, service: Arc::clone(&service) };
        Ok(Emulator { address, authority, port, service, tasks })
    }
}

/// Seen at the service.
const UPLOAD_GRANULARITY: usize = 8 * 1024 * 1024;

const HOST_NAMES: &[&str] = &["localhost", "127.0.0.1", "generativelanguage.googleapis.com"];
