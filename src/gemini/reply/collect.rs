//! Collect: joins a stream of chunks to one response, and keeps what arrived before a break.

use std::error::Error as StdError;
use std::fmt;

use tonic::{Status, Streaming};

use super::content::Reply;
use super::merge::{ReplyMerger, SignedText};
use crate::error::{Error, ErrorKind};
use crate::gemini::schema;

/// Reads a stream to its end, and returns the response that a unary call would have returned.
///
/// It joins neighbouring texts, and collects each candidate's parts and citations. Of usage and
/// ratings, it keeps the last ones. The reply exists only when it is complete, so Python's
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
/// The stream broke, the service ended it with an error, or it ended without a finish reason
/// (`DATA_LOSS`). The error has what had arrived.
pub async fn collect_reply<R: Reply>(stream: Streaming<R>) -> Result<R, BrokenReply<R>> {
    collect_reply_with(stream, |_| {}).await
}

/// As [`collect_reply`], and hands each chunk to `on_chunk` as it arrives.
///
/// # Errors
/// As for [`collect_reply`].
pub async fn collect_reply_with<R: Reply>(
    mut stream: Streaming<R>,
    mut on_chunk: impl FnMut(&R),
) -> Result<R, BrokenReply<R>> {
    let mut merger = merger::<R>().map_err(|error| BrokenReply::new(R::default(), error.into()))?;
    let status = loop {
        match stream.message().await {
            Ok(Some(chunk)) => {
                on_chunk(&chunk);
                if let Err(error) = merger.add(&chunk.encode_to_vec()) {
                    break error.into();
                }
            }
            Ok(None) if merger.is_finished() => return Ok(read(&merger)),
            Ok(None) => break unfinished().into(),
            Err(status) => break status,
        }
    };
    Err(BrokenReply::new(read(&merger), status))
}

fn merger<R: Reply>() -> Result<ReplyMerger, Error> {
    let schema = schema()?;
    let name = R::NAME;
    let id = schema.message_id(name);
    let id = id.ok_or_else(|| Error::new(ErrorKind::Schema, format!("there is no `{name}`")))?;
    Ok(ReplyMerger::new(schema, id, SignedText::Apart))
}

fn read<R: Reply>(merger: &ReplyMerger) -> R {
    R::decode(merger.encode().as_slice()).expect("the fields of messages that were decoded")
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
pub(crate) fn unfinished() -> Error {
    Error::new(ErrorKind::Truncated, "the stream ended, and nothing says why the model stopped")
}

impl<R: Reply> BrokenReply<R> {
    fn new(so_far: R, status: Status) -> Self {
        Self(Box::new(Broken { so_far, status }))
    }
}

impl<R> BrokenReply<R> {
    /// What had arrived, joined as by [`collect_reply`].
    pub fn so_far(&self) -> &R {
        &self.0.so_far
    }

    /// What ended the stream. [`Error::of`](crate::Error::of) finds the bridge's error in it;
    /// without one, the service ended the stream.
    pub fn status(&self) -> &Status {
        &self.0.status
    }

    /// What had arrived, and what ended the stream.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::google::ai::generativelanguage::v1beta;
    use bytes::Bytes;
    use prost::Message as _;
    use v1beta::generate_content_response::UsageMetadata;
    use v1beta::part::Data;
    use v1beta::{
        Candidate, CitationMetadata, CitationSource, Content, GenerateContentResponse, Part,
        SafetyRating,
    };

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
        let mut merger = merger::<GenerateContentResponse>().expect("a schema");
        chunks.into_iter().for_each(|chunk| merger.add(&chunk.encode_to_vec()).expect("merged"));
        read(&merger)
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

    #[test]
    fn what_the_schema_does_not_know_is_joined_from_all_chunks() {
        let told = |unknown: &'static str| {
            let mut told = chunk(0, vec![text("a")]);
            told.unknown_json = unknown.into();
            let candidate = told.candidates.first_mut().expect("a candidate");
            candidate.unknown_json = unknown.into();
            candidate.content.as_mut().expect("content").unknown_json = unknown.into();
            let unknown_json = unknown.into();
            candidate.citation_metadata =
                Some(CitationMetadata { unknown_json, ..Default::default() });
            told
        };
        for (chunks, expected) in [
            (&[r#"{"a":1}"#, "", r#"{"b":[2]}"#][..], r#"{"a":1,"b":[2]}"#),
            (&[r#"{"a":1,"b":1}"#, r#"{"a":2}"#], r#"{"b":1,"a":2}"#),
            (&[r#"{"a":1}"#], r#"{"a":1}"#),
            // No service of ours wrote this.
            (&["{", r#"{"a":1}"#, "[]", "null"], r#"{"a":1}"#),
            (&["{"], "{"),
        ] {
            let whole = merged(chunks.iter().copied().map(told));
            let candidate = whole.candidates.first().expect("a candidate");
            let content = candidate.content.as_ref().expect("content");
            let citations = candidate.citation_metadata.as_ref().expect("citations");
            let places = [
                &whole.unknown_json,
                &candidate.unknown_json,
                &content.unknown_json,
                &citations.unknown_json,
            ];
            assert!(places.iter().all(|place| *place == expected), "{chunks:?}: {places:?}");
        }
    }

    #[test]
    fn of_what_each_chunk_tells_whole_the_last_one_is_kept_with_what_is_unknown_in_it() {
        let told = |unknown: &'static str| {
            let usage = UsageMetadata { unknown_json: unknown.into(), ..Default::default() };
            GenerateContentResponse { usage_metadata: Some(usage), ..chunk(0, vec![text("a")]) }
        };
        let whole = merged([told(r#"{"a":1}"#), told(r#"{"b":2}"#)]);
        assert_eq!(whole.usage_metadata.expect("usage").unknown_json, r#"{"b":2}"#);
    }
}
