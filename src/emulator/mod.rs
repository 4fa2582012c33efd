//! Emulator: a local Gemini, on gRPC and REST from one script.
//!
//! It is an oracle: it shares no transcoding with the bridge. Its JSON is prost-reflect's, its HTTP
//! rules are matched by code of its own, its gRPC is written by hand. This module stands outside
//! the crate's promise of compatibility.
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

/// A running service on a port of its own. Dropped, it stops with all its connections.
///
/// # Panics
/// When dropped, if it panicked while it ran: a test must not pass on that.
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
    /// No port can be had.
    pub async fn start() -> io::Result<Self> {
        Self::builder().start().await
    }

    /// The same with options.
    pub fn builder() -> EmulatorBuilder {
        EmulatorBuilder::default()
    }

    /// Scheme, host and port.
    pub fn endpoint(&self) -> String {
        match self.authority {
            Some(_) => format!("https://localhost:{}", self.address.port()),
            None => format!("http://{}", self.address),
        }
    }

    /// Serves one client on this stream, as if it had connected: TLS, unless it is plaintext, and
    /// HTTP.
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

    /// Where it listens, or seems to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The certificate to trust, as PEM; empty in plaintext.
    pub fn root_certificate(&self) -> &str {
        self.authority.as_ref().map_or("", Authority::pem)
    }

    /// Lays down the answer to each call of a method (`/package.Service/Method`) from now on.
    ///
    /// # Panics
    /// If there is no such method.
    pub fn on(&self, method: &str, reply: Reply) {
        self.require(method);
        self.service.script.set(method, reply);
    }

    /// Queues the answer to one call of a method, before its standing answer.
    ///
    /// # Panics
    /// If there is no such method.
    pub fn once(&self, method: &str, reply: Reply) {
        self.require(method);
        self.service.script.push(method, reply);
    }

    /// Lays down the answer to each request of a verb and a path from now on, also of one that no
    /// proto names. The query does not count.
    pub fn on_path(&self, verb: &http::Method, path: &str, page: Page) {
        self.service.pages.set(&page_key(verb, path), page);
    }

    /// Queues the answer to one request of a verb and a path, before its standing answer.
    pub fn once_path(&self, verb: &http::Method, path: &str, page: Page) {
        self.service.pages.push(&page_key(verb, path), page);
    }

    /// Answers each call by its method and its message, unless an answer is laid down for it;
    /// `None` leaves it to the built-in answers. It is asked once for each call that the service
    /// takes up.
    pub fn answer_with(
        &self,
        author: impl Fn(&str, &Bytes) -> Option<Reply> + Send + Sync + 'static,
    ) {
        self.service.author.set(author);
    }

    /// Asks this of the headers of each call before it is taken up; the call gets the error as its
    /// answer.
    pub fn admit_with(
        &self,
        admit: impl Fn(&HeaderMap) -> Result<(), Status> + Send + Sync + 'static,
    ) {
        self.service.admission.set(admit);
    }

    /// The content of a file that was uploaded: `files/file-1` is the first one.
    pub fn file(&self, name: &str) -> Option<Bytes> {
        self.service.files.content(name.strip_prefix("files/").unwrap_or(name))
    }

    /// How many uploads have begun, and were neither finished nor cancelled.
    pub fn open_uploads(&self) -> usize {
        self.service.files.uploads()
    }

    /// Forgets the answers laid down and the calls received.
    pub fn clear(&self) {
        self.service.script.clear();
        self.service.author.clear();
        self.service.pages.clear();
        self.service.record.clear();
    }

    /// The calls so far, in the order in which their requests were complete.
    pub fn received(&self) -> Vec<Received> {
        self.service.record.received()
    }

    /// How many calls of a method there were.
    pub fn count(&self, method: &str) -> usize {
        self.received().iter().filter(|call| call.method() == method).count()
    }

    /// How many calls the client gave up: a reset stream, or a closed connection over HTTP/1.1.
    pub fn reset_streams(&self) -> usize {
        self.service.record.cancelled()
    }

    /// Waits for so many calls, and gives them. What never comes ends the wait after 20 s.
    pub async fn received_when(&self, count: usize) -> Vec<Received> {
        self.service.record.received_when(count).await
    }

    /// Waits until the client has given up so many calls. What never comes ends the wait after 20
    /// s.
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

    /// Speaks HTTP/1.1, and HTTP/2 to who begins with it, without TLS.
    pub fn plaintext(mut self) -> Self {
        self.is_plaintext = true;
        self
    }

    /// Takes its certificate from this authority in place of a fresh one.
    pub fn authority(mut self, authority: Authority) -> Self {
        self.authority = Some(authority);
        self
    }

    /// Allows so many streams at a time on an HTTP/2 connection; hyper's default is 200.
    pub fn max_concurrent_streams(mut self, streams: u32) -> Self {
        self.max_concurrent_streams = Some(streams);
        self
    }

    /// Lets a client send so many bytes on a new stream of HTTP/2 before it must wait for more
    /// room; none comes where this is 0.
    pub fn initial_window(mut self, bytes: u32) -> Self {
        self.initial_window = Some(bytes);
        self
    }

    /// Ends each connection gracefully at this age, as front ends do: over HTTP/2 by GOAWAY, after
    /// which it carries what is under way to its end.
    pub fn connection_age(mut self, age: Duration) -> Self {
        self.connection_age = Some(age);
        self
    }

    /// Asks for this API key, in `x-goog-api-key` or the parameter `key`.
    pub fn require_key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// What is not the last piece of an upload has a multiple of so many bytes. Default: 8 MiB, as
    /// at the service.
    pub fn upload_granularity(mut self, bytes: usize) -> Self {
        self.upload_granularity = Some(bytes);
        self
    }

    /// Starts it on a free port of 127.0.0.1.
    ///
    /// # Errors
    /// The descriptors cannot be read, one of their HTTP rules is wrong, or no port can be had.
    pub async fn start(self) -> io::Result<Emulator> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let emulator = self.serve_as(listener.local_addr()?)?;
        let accepting = emulator.port.clone().accept(listener, emulator.tasks.clone());
        emulator.tasks.spawn(accepting);
        Ok(emulator)
    }

    /// Makes one that listens nowhere: it serves the streams of [`Emulator::serve`] alone. Its
    /// endpoint names port 443 of `localhost`, or port 80 of 127.0.0.1 in plaintext.
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
