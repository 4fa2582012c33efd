//! Pages: a list that comes page by page, as one stream.

use std::collections::HashSet;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tonic::Status;

use crate::error::{Error, ErrorKind};

/// Turns any List method into a [`Stream`] of its pages. `call` requests the page of a token; the
/// first token is empty. `next` reads the next page's token from a page. A page is requested only
/// when somebody waits for it.
///
/// If the service repeats a token, the stream ends with an error, because it would never end.
///
/// ```no_run
/// # async fn example(bridge: genai_bridge::Bridge) -> Result<(), tonic::Status> {
/// use genai_bridge::pages;
/// use genai_bridge::v1beta::{ListModelsRequest, ListModelsResponse};
/// use genai_bridge::v1beta::model_service_client::ModelServiceClient;
///
/// let client = ModelServiceClient::new(bridge);
/// let call = move |page_token| {
///     let mut client = client.clone();
///     async move {
///         let request = ListModelsRequest { page_token, ..Default::default() };
///         client.list_models(request).await.map(tonic::Response::into_inner)
///     }
/// };
/// let mut models = pages(call, |page: &ListModelsResponse| page.next_page_token.clone());
/// while let Some(page) = models.next().await {
///     page?.models.iter().for_each(|model| println!("{}", model.name));
/// }
/// # Ok(())
/// # }
/// ```
pub fn pages<P, C, F>(mut call: C, next: impl Fn(&P) -> String + Send + 'static) -> Pages<P>
where
    C: FnMut(String) -> F + Send + 'static,
    F: Future<Output = Result<P, Status>> + Send + 'static,
{
    Pages {
        call: Box::new(move |token| Box::pin(call(token))),
        next: Box::new(next),
        token: Some(String::new()),
        seen: HashSet::new(),
        pending: None,
    }
}

type Pending<P> = Pin<Box<dyn Future<Output = Result<P, Status>> + Send>>;

/// The pages of a list; made by [`pages`].
#[must_use = "pages are asked for when they are waited for"]
pub struct Pages<P> {
    call: Box<dyn FnMut(String) -> Pending<P> + Send>,
    next: Box<dyn Fn(&P) -> String + Send>,
    /// Of the page that comes next; `None` at the end.
    token: Option<String>,
    seen: HashSet<String>,
    pending: Option<Pending<P>>,
}

impl<P> Pages<P> {
    /// The next page; `None` after the last one, and after an error.
    pub async fn next(&mut self) -> Option<Result<P, Status>> {
        poll_fn(|context| self.poll_page(context)).await
    }

    fn poll_page(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<P, Status>>> {
        let pending = match (&mut self.pending, self.token.take()) {
            (Some(pending), _) => pending,
            (None, None) => return Poll::Ready(None),
            (None, Some(token)) => {
                if !token.is_empty() && !self.seen.insert(token.clone()) {
                    return Poll::Ready(Some(Err(repeated())));
                }
                self.pending.insert((self.call)(token))
            }
        };
        let page = ready!(pending.as_mut().poll(context));
        self.pending = None;
        if let Ok(page) = &page {
            self.token = Some((self.next)(page)).filter(|token| !token.is_empty());
        }
        Poll::Ready(Some(page))
    }
}

fn repeated() -> Status {
    let text = "the service repeats a page token: the list may not be whole";
    Error::new(ErrorKind::MalformedAnswer, text).into()
}

impl<P> Stream for Pages<P> {
    type Item = Result<P, Status>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<P, Status>>> {
        self.poll_page(context)
    }
}

impl<P> fmt::Debug for Pages<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages").field("asked", &self.seen.len()).finish_non_exhaustive()
    }
}
