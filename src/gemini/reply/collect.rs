//! Collect: a stream of chunks becomes one response; what had come before a break is kept.

use std::error::Error as StdError;
use std::fmt;

use prost::Message;
use tonic::{Status, Streaming};

use super::content::{Reply, is_finished};
use crate::error::{Error, ErrorKind};
use crate::json::join_unknown;
use crate::proto::google::ai::generativelanguage::v1beta;
use v1beta::part::Data;
use v1beta::{Candidate, GenerateContentResponse, Part};

/// Reads a stream to its end, and gives it as the one response that a unary call would have given.
///
/// Neighbouring texts are joined, each candidate's parts and citations stand together, and of usage and
/// ratings the last ones count. There is no way to read the whole before it is there, so Python's
/// `IncompleteIterationError` cannot happen.
///
/// ```no_run
/// use genai_bridge::gemini::reply::{Reply, collect_reply};
/// # use genai_bridge::{Bridge, v1beta::generative_service_client::GenerativeServiceClient};
/// # async fn example(
/// #     mut client: GenerativeServiceClient<Bridge>,
/// #     request: genai_bridge::v1beta::GenerateContentRequest,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// let stream = client.stream_generate_content(request).await?.into_inner();
/// let reply = collect_reply(stream).await?;
/// println!("{}", reply.text()?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The stream broke, the service ended it with an error, or it ended while no message had said why the model stopped
/// (`DATA_LOSS`); nothing that had been received is lost.
pub async fn collect_reply<R: Reply>(stream: Streaming<R>) -> Result<R, BrokenReply<R>> {
    collect_reply_with(stream, |_| {}).await
}

/// The same, with a look at each chunk as it comes.
///
/// # Errors
/// As for [`collect_reply`].
pub async fn collect_reply_with<R: Reply>(
    mut stream: Streaming<R>,
    mut on_chunk: impl FnMut(&R),
) -> Result<R, BrokenReply<R>> {
    let mut so_far = GenerateContentResponse::default();
    loop {
        match stream.message().await {
            Ok(Some(chunk)) => {
                on_chunk(&chunk);
                merge(&mut so_far, chunk.as_v1beta().into_owned());
            }
            Ok(None) if is_finished(&so_far) => return Ok(R::from_v1beta(so_far)),
            Ok(None) => return Err(BrokenReply::new(so_far, unfinished())),
            Err(status) => return Err(BrokenReply::new(so_far, status)),
        }
    }
}

/// A stream that ended in an error. Python's `BrokenResponseError`.
#[derive(Debug)]
pub struct BrokenReply<R>(Box<Broken<R>>);

#[derive(Debug)]
struct Broken<R> {
    so_far: R,
    status: Status,
}

/// The stream ended well, and the reply within it did not.
fn unfinished() -> Status {
    Error::new(ErrorKind::Truncated, "the stream ended, and nothing says why the model stopped")
        .into()
}

impl<R: Reply> BrokenReply<R> {
    fn new(so_far: GenerateContentResponse, status: Status) -> Self {
        Self(Box::new(Broken { so_far: R::from_v1beta(so_far), status }))
    }
}

impl<R> BrokenReply<R> {
    /// What had been received, merged as [`collect_reply`] does.
    pub fn so_far(&self) -> &R {
        &self.0.so_far
    }

    /// What ended the stream: [`Error::of`](crate::Error::of) tells whether the service said it.
    pub fn status(&self) -> &Status {
        &self.0.status
    }

    /// Both.
    pub fn into_parts(self) -> (R, Status) {
        (self.0.so_far, self.0.status)
    }
}

impl<R> fmt::Display for BrokenReply<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the stream broke before its end")
    }
}

impl<R: fmt::Debug> StdError for BrokenReply<R> {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        Some(&self.0.status)
    }
}

impl<R> From<BrokenReply<R>> for Status {
    fn from(broken: BrokenReply<R>) -> Self {
        broken.0.status
    }
}

/// Adds a chunk to what came before it.
///
/// Protobuf's own merging appends what is repeated and overwrites what is not, also for fields that
/// this crate does not look at; usage and ratings are told anew by each chunk, so they replace.
fn merge(so_far: &mut GenerateContentResponse, mut chunk: GenerateContentResponse) {
    for candidate in std::mem::take(&mut chunk.candidates) {
        let same =
            so_far.candidates.iter_mut().find(|known| index_of(known) == index_of(&candidate));
        match same {
            Some(known) => merge_candidate(known, candidate),
            None => so_far.candidates.push(candidate),
        }
    }
    if chunk.usage_metadata.is_some() {
        so_far.usage_metadata = None;
    }
    if let (Some(old), Some(new)) = (&mut so_far.prompt_feedback, &chunk.prompt_feedback)
        && !new.safety_ratings.is_empty()
    {
        old.safety_ratings.clear();
    }
    let unknown = join_unknown(&so_far.unknown_json, &chunk.unknown_json);
    append(so_far, &chunk);
    so_far.unknown_json = unknown.into();
}

fn merge_candidate(known: &mut Candidate, mut chunk: Candidate) {
    if !chunk.safety_ratings.is_empty() {
        known.safety_ratings.clear();
    }
    let parts = chunk.content.as_mut().map(|content| std::mem::take(&mut content.parts));
    if let Some(old) = &known.citation_metadata
        && let Some(new) = &mut chunk.citation_metadata
    {
        // Some models repeat the sources in each chunk.
        new.citation_sources.retain(|source| !old.citation_sources.contains(source));
    }
    let unknown = join_unknown(&known.unknown_json, &chunk.unknown_json);
    append(known, &chunk);
    known.unknown_json = unknown.into();
    let content = known.content.get_or_insert_default();
    for part in parts.unwrap_or_default() {
        push_part(&mut content.parts, part);
    }
}

/// Joins a text to the text before it. A signature belongs to the very part that it came with
/// ([thought signatures](https://ai.google.dev/gemini-api/docs/thought-signatures)), so such a part stays alone.
fn push_part(parts: &mut Vec<Part>, mut part: Part) {
    if let Some(last) = parts.last_mut()
        && last.thought == part.thought
        && is_plain(last)
        && is_plain(&mut part)
        && let (Some(Data::Text(text)), Some(Data::Text(more))) = (&mut last.data, &part.data)
    {
        text.push_str(more);
    } else {
        parts.push(part);
    }
}

/// Whether a part holds its data and nothing about it.
fn is_plain(part: &mut Part) -> bool {
    let data = part.data.take();
    let is_plain = *part == Part { thought: part.thought, ..Part::default() };
    part.data = data;
    is_plain
}

/// Absent means the first, as on the wire.
fn index_of(candidate: &Candidate) -> i32 {
    candidate.index.unwrap_or_default()
}

fn append<M: Message>(whole: &mut M, more: &M) {
    whole.merge(more.encode_to_vec().as_slice()).expect("a message reads what it wrote");
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;
    use v1beta::generate_content_response::UsageMetadata;
    use v1beta::{CitationMetadata, CitationSource, Content, SafetyRating};

    fn text(text: &str) -> Part {
        Part { data: Some(Data::Text(text.into())), ..Part::default() }
    }

    fn chunk(index: i32, parts: Vec<Part>) -> GenerateContentResponse {
        let content = Some(Content { parts, role: "model".into(), ..Default::default() });
        let candidate = Candidate { index: Some(index), content, ..Candidate::default() };
        GenerateContentResponse { candidates: vec![candidate], ..Default::default() }
    }

    fn merged(
        chunks: impl IntoIterator<Item = GenerateContentResponse>,
    ) -> GenerateContentResponse {
        let mut whole = GenerateContentResponse::default();
        chunks.into_iter().for_each(|chunk| merge(&mut whole, chunk));
        whole
    }

    fn parts_of(candidate: &Candidate) -> &[Part] {
        &candidate.content.as_ref().expect("content").parts
    }

    #[test]
    fn texts_are_joined_where_nothing_sets_them_apart() {
        let thought = |words| Part { thought: true, ..text(words) };
        let signed = |words| Part { thought_signature: Bytes::from_static(b"s"), ..text(words) };
        let parts =
            [thought("h"), thought("m"), text("a"), text("b"), signed(""), text("c"), text("d")];
        let whole = merged(parts.map(|part| chunk(0, vec![part])));
        let candidate = whole.candidates.first().expect("a candidate");
        assert_eq!(parts_of(candidate), [thought("hm"), text("ab"), signed(""), text("cd")]);
        assert_eq!(candidate.content.as_ref().expect("content").role, "model");
    }

    #[test]
    fn candidates_that_come_in_turn_are_kept_apart() {
        let chunks = [(0, "a"), (1, "x"), (0, "b"), (1, "y")];
        let whole = merged(chunks.map(|(index, words)| chunk(index, vec![text(words)])));
        let parts: Vec<_> = whole.candidates.iter().flat_map(parts_of).cloned().collect();
        assert_eq!(parts, [text("ab"), text("xy")]);
    }

    #[test]
    fn the_last_usage_and_ratings_count_and_each_citation_stands_once() {
        let told = |tokens, category, uris: &[&str]| {
            let source =
                |uri: &&str| CitationSource { uri: Some((*uri).into()), ..Default::default() };
            let mut chunk = chunk(0, vec![]);
            let candidate = chunk.candidates.first_mut().expect("a candidate");
            candidate.safety_ratings = vec![SafetyRating { category, ..Default::default() }];
            let citation_sources = uris.iter().map(source).collect();
            candidate.citation_metadata =
                Some(CitationMetadata { citation_sources, ..Default::default() });
            chunk.usage_metadata =
                Some(UsageMetadata { total_token_count: tokens, ..Default::default() });
            chunk
        };
        let whole = merged([told(9, 1, &["a"]), told(3, 2, &["a", "b"]), chunk(0, vec![])]);
        let candidate = whole.candidates.first().expect("a candidate");
        let categories = candidate.safety_ratings.iter().map(|rating| rating.category);
        assert_eq!(categories.collect::<Vec<_>>(), [2]);
        let sources = &candidate.citation_metadata.as_ref().expect("citations").citation_sources;
        let uris: Vec<_> = sources.iter().filter_map(|source| source.uri.as_deref()).collect();
        assert_eq!(uris, ["a", "b"]);
        assert_eq!(whole.usage_metadata.expect("usage").total_token_count, 3);
    }
}
