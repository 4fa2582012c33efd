//! Content: the turns and parts that one writes every day.

use bytes::Bytes;

use crate::proto::google::ai::generativelanguage::v1beta::{
    Blob, Content, FileData, Part, part::Data,
};

/// Only where there is nothing to leave out; all else is set on what these return.
impl Content {
    /// A turn of the user.
    ///
    /// ```
    /// use genai_bridge::v1beta::{Content, Part};
    ///
    /// let turn = Content::user("What is in this picture?")
    ///     .with(Part::inline("image/png", vec![0x89, b'P', b'N', b'G']))
    ///     .with(Part::file("video/mp4", "https://generativelanguage.googleapis.com/v1beta/files/abc"));
    /// assert_eq!((turn.role.as_str(), turn.parts.len()), ("user", 3));
    /// ```
    pub fn user(part: impl Into<Part>) -> Self {
        Self { role: "user".to_owned(), parts: vec![part.into()], ..Self::default() }
    }

    /// A turn of the model, where a conversation begins with made-up ones. A turn that the model
    /// gave goes back as it came, with its signatures.
    pub fn model(part: impl Into<Part>) -> Self {
        Self { role: "model".to_owned(), parts: vec![part.into()], ..Self::default() }
    }

    /// The same turn with one more part.
    #[must_use]
    pub fn with(mut self, part: impl Into<Part>) -> Self {
        self.parts.push(part.into());
        self
    }
}

/// One kind of data each.
impl Part {
    /// A text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(Data::Text(text.into()))
    }

    /// Bytes of this MIME type, sent inside the request. The service takes 20 MB in one request;
    /// what is larger is uploaded first.
    pub fn inline(mime_type: impl Into<String>, data: impl Into<Bytes>) -> Self {
        let (mime_type, data) = (mime_type.into(), data.into());
        Self::of(Data::InlineData(Blob { mime_type, data, ..Blob::default() }))
    }

    /// A file of this MIME type that the service fetches: the `uri` of an uploaded file, or another
    /// address.
    pub fn file(mime_type: impl Into<String>, file_uri: impl Into<String>) -> Self {
        let (mime_type, file_uri) = (mime_type.into(), file_uri.into());
        Self::of(Data::FileData(FileData { mime_type, file_uri, ..FileData::default() }))
    }

    fn of(data: Data) -> Self {
        Self { data: Some(data), ..Self::default() }
    }
}

impl From<&str> for Part {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::text(text)
    }
}
