//! Store: uploads under way, and the files that are whole.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use serde_json::{Map, Value, json};

/// All that was uploaded.
#[derive(Debug)]
pub(in super::super) struct Files {
    state: Mutex<State>,
    /// What is not the last piece of an upload has a multiple of so many bytes.
    pub(super) granularity: usize,
    pub(super) scheme: &'static str,
}

#[derive(Debug, Default)]
struct State {
    begun: u64,
    uploads: HashMap<String, Upload>,
    files: HashMap<String, File>,
    removed: HashSet<String>,
}

/// An upload under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Upload {
    pub(super) declared: Option<usize>,
    pub(super) content_type: String,
    pub(super) display_name: String,
    /// The store that it goes to, if it goes to one.
    pub(super) store: Option<String>,
    pub(super) pieces: Vec<Bytes>,
    pub(super) received: usize,
    /// Of the piece that is being received; another request makes it stale.
    pub(super) turn: u64,
}

#[derive(Debug)]
struct File {
    content: Bytes,
    description: Map<String, Value>,
    /// How often it is looked at before it is ready.
    looks: u32,
}

/// Looks at a new file that find it `PROCESSING`.
const LOOKS: u32 = 1;

impl Upload {
    /// Gives up what came beyond so many bytes.
    fn keep(&mut self, length: usize) {
        while self.received > length {
            let Some(mut last) = self.pieces.pop() else { return };
            let excess = self.received - length;
            self.received -= last.len();
            if last.len() > excess {
                last.truncate(last.len() - excess);
                self.received += last.len();
                self.pieces.push(last);
            }
        }
    }
}

impl Files {
    pub(in super::super) fn new(granularity: usize, is_plaintext: bool) -> Self {
        let scheme = if is_plaintext { "http" } else { "https" };
        Self { state: Mutex::default(), granularity, scheme }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in super::super) fn has(&self, id: &str) -> bool {
        let state = self.state();
        state.files.contains_key(id) || state.removed.contains(id)
    }

    pub(in super::super) fn content(&self, id: &str) -> Option<Bytes> {
        self.state().files.get(id).map(|file| file.content.clone())
    }

    pub(in super::super) fn uploads(&self) -> usize {
        self.state().uploads.len()
    }

    pub(super) fn remove(&self, id: &str) {
        let mut state = self.state();
        if state.files.remove(id).is_some() {
            state.removed.insert(id.to_owned());
        }
    }

    /// The description of a file, one look later. `None`: it was removed.
    pub(super) fn look(&self, id: &str) -> Option<String> {
        let mut state = self.state();
        let file = state.files.get_mut(id)?;
        let text = Value::from(file.description.clone()).to_string();
        file.looks = file.looks.saturating_sub(1);
        if file.looks == 0 {
            file.description.insert("state".to_owned(), "ACTIVE".into());
        }
        Some(text)
    }

    pub(super) fn begin(&self, upload: Upload) -> String {
        let mut state = self.state();
        state.begun += 1;
        let id = format!("upload-{}", state.begun);
        state.uploads.insert(id.clone(), upload);
        id
    }

    pub(super) fn cancel(&self, id: &str) -> bool {
        self.state().uploads.remove(id).is_some()
    }

    /// Ends whatever piece is still on its way, and gives a turn for another; what is no whole unit
    /// is given up.
    pub(super) fn take_turn(&self, id: &str) -> Option<(u64, usize)> {
        let mut state = self.state();
        let upload = state.uploads.get_mut(id)?;
        upload.turn += 1;
        upload.keep(upload.received / self.granularity.max(1) * self.granularity.max(1));
        Some((upload.turn, upload.received))
    }

    /// Keeps the bytes; false where the turn is over.
    pub(super) fn add(&self, id: &str, turn: u64, piece: Bytes) -> bool {
        let mut state = self.state();
        let upload = state.uploads.get_mut(id).filter(|upload| upload.turn == turn);
        let Some(upload) = upload else { return false };
        upload.received += piece.len();
        upload.pieces.push(piece);
        true
    }

    /// Makes a file of an upload, and gives what is answered; an error is a text.
    pub(super) fn finish(&self, id: &str, origin: &str) -> Result<String, String> {
        let mut state = self.state();
        let Some(upload) = state.uploads.remove(id) else { return Err("no such upload".into()) };
        if let Some(declared) = upload.declared.filter(|declared| *declared != upload.received) {
            return Err(format!("{} bytes were declared, {} came", declared, upload.received));
        }
        let mut content = BytesMut::with_capacity(upload.received);
        upload.pieces.iter().for_each(|piece| content.extend_from_slice(piece));
        let id = id.replace("upload-", "file-");
        if let Some(store) = upload.store {
            let name = format!("{store}/upload/operations/{id}");
            let document = format!("{store}/documents/{id}");
            let response = json!({
                "@type": "type.googleapis.com/google.ai.generativelanguage.v1main.UploadToFileSearchStoreResponse",
                "parent": store, "documentName": document,
            });
            let file = File { content: content.freeze(), description: Map::new(), looks: 0 };
            state.files.insert(id, file);
            return Ok(json!({"name": name, "done": true, "response": response}).to_string());
        }
        let members = [
            ("name", format!("files/{id}")),
            ("displayName", upload.display_name),
            ("mimeType", upload.content_type),
            ("sizeBytes", upload.received.to_string()),
            ("createTime", "2026-11-01T00:00:00.000000Z".to_owned()),
            ("updateTime", "2026-11-01T00:00:00.000000Z".to_owned()),
            ("expirationTime", "2026-11-03T00:00:00.000000Z".to_owned()),
            ("uri", format!("{origin}/v1beta/files/{id}")),
            ("state", "PROCESSING".to_owned()),
            ("source", "UPLOADED".to_owned()),
        ];
        let members = members.into_iter().filter(|(_, value)| !value.is_empty());
        let description: Map<String, Value> =
            members.map(|(name, value)| (name.to_owned(), value.into())).collect();
        let answer = json!({"file": description}).to_string();
        let file = File { content: content.freeze(), description, looks: LOOKS };
        state.files.insert(id, file);
        Ok(answer)
    }
}
