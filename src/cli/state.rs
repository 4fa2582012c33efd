//! State: what the command line keeps for its next start, in a folder of the user.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use etcetera::BaseStrategy as _;
use genai_bridge::{Bridge, BridgeBuilder, Verdict};
use tempfile::NamedTempFile;
use tracing::debug;

/// Where programs of this user keep what is not for other machines.
pub(super) fn state_folder() -> Option<PathBuf> {
    let folders = etcetera::choose_base_strategy().ok()?;
    let state = folders.state_dir().unwrap_or_else(|| folders.cache_dir());
    Some(state.join("genai-bridge"))
}

/// The verdict on the network, from one start to the next. Whatever keeps it from being read or
/// written is no failure: it is learnt anew.
#[derive(Debug, Clone)]
pub(super) struct KeptVerdict(Option<PathBuf>);

impl KeptVerdict {
    /// One file for each endpoint; the verdict itself knows the proxy that it holds for.
    pub(super) fn of(endpoint: &str) -> Self {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".-".contains(letter);
        let name = endpoint.chars().take(LONGEST_NAME);
        let name: String = name.map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
        Self(state_folder().map(|folder| folder.join("verdicts").join(name)))
    }

    pub(super) fn give_to(&self, builder: BridgeBuilder) -> BridgeBuilder {
        let Some(path) = &self.0 else { return builder };
        match read(path) {
            Ok(Some(verdict)) => builder.verdict(verdict),
            Ok(None) => builder,
            Err(why) => {
                debug!(path = %path.display(), why, "a kept verdict is not used");
                builder
            }
        }
    }

    /// Keeps what the bridge has learnt. Where that is nothing, a verdict that has expired is
    /// removed; one that still holds is another network's, since the bridge would have taken it.
    pub(super) fn keep_of(&self, bridge: &Bridge) {
        let Some(path) = &self.0 else { return };
        let kept = match bridge.verdict() {
            Some(verdict) => write(path, &verdict),
            None => match read(path) {
                Ok(Some(kept)) if kept.until() > SystemTime::now() => Ok(()),
                Ok(None) => Ok(()),
                Ok(Some(_)) | Err(_) => fs::remove_file(path),
            },
        };
        if let Err(error) = kept {
            debug!(path = %path.display(), %error, "a verdict is not kept");
        }
    }

    /// Keeps it each time that the transport of all calls changes. What is learnt of single methods
    /// is kept with that, or at the end.
    pub(super) async fn follow(self, bridge: Bridge) {
        let mut changes = bridge.watch();
        while changes.changed().await.is_ok() {
            self.keep_of(&bridge);
        }
    }
}

fn read(path: &Path) -> Result<Option<Verdict>, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error.to_string()),
    };
    text.parse().map(Some).map_err(|error: genai_bridge::Error| error.to_string())
}

/// Whole or not at all: two commands may end at once.
fn write(path: &Path, verdict: &Verdict) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = NamedTempFile::new_in(folder)?;
    file.write_all(verdict.to_string().as_bytes())?;
    file.persist(path)?;
    Ok(())
}

const LONGEST_NAME: usize = 100;
