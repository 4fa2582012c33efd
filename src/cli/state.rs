//! State: what the command line keeps for its next start, in a folder of the user.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
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
pub(super) struct KeptVerdict {
    path: Option<PathBuf>,
    /// What this command has written last, by any clone of this.
    written: Arc<Mutex<Option<Verdict>>>,
}

impl KeptVerdict {
    /// One file for each endpoint; the verdict itself knows the proxy that it holds for.
    pub(super) fn of(endpoint: &str) -> Self {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || ".-".contains(letter);
        let name = endpoint.chars().take(LONGEST_NAME);
        let name: String = name.map(|letter| if is_plain(letter) { letter } else { '_' }).collect();
        let path = state_folder().map(|folder| folder.join("verdicts").join(name));
        Self { path, written: Arc::default() }
    }

    pub(super) fn give_to(&self, builder: BridgeBuilder) -> BridgeBuilder {
        let Some(path) = &self.path else { return builder };
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
    /// removed, and one that the bridge has taken back. Any other that still holds is another
    /// network's, since the bridge would have taken it.
    pub(super) fn keep_of(&self, bridge: &Bridge) {
        let Some(path) = &self.path else { return };
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = bridge.verdict();
        let kept = match &verdict {
            Some(verdict) => write(path, verdict),
            None => match read(path) {
                Ok(None) => Ok(()),
                Ok(Some(kept))
                    if kept.until() > SystemTime::now() && written.as_ref() != Some(&kept) =>
                {
                    Ok(())
                }
                Ok(Some(_)) | Err(_) => fs::remove_file(path),
            },
        };
        *written = verdict;
        if let Err(error) = kept {
            debug!(path = %path.display(), %error, "a verdict is not kept");
        }
    }

    /// Keeps it each time that it changes: a command that is killed has no end.
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

#[cfg(test)]
mod tests {
    use genai_bridge::Proxy;

    use super::*;

    #[test]
    fn what_the_bridge_takes_back_is_removed_and_what_is_anothers_stays() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("verdicts").join("here");
        let kept = KeptVerdict { path: Some(path.clone()), written: Arc::default() };
        let bridge = || {
            let builder = Bridge::builder().endpoint("https://here.test:1").proxy(Proxy::none());
            kept.give_to(builder).build().expect("a bridge")
        };
        let holds_for = |network: &str| {
            let text = format!(
                "genai-bridge verdict 1\nnetwork https, host {network}\ngrpc not-grpc 32503680000 1\n"
            );
            write(&path, &text.parse().expect("a verdict")).expect("a file");
        };
        holds_for("here.test:1");
        let taken = bridge();
        assert!(taken.verdict().is_some());
        kept.clone().keep_of(&taken);
        taken.reset();
        kept.keep_of(&taken);
        assert!(!path.exists(), "taken back");
        holds_for("there.test:1");
        let other = bridge();
        assert!(other.verdict().is_none());
        kept.keep_of(&other);
        assert!(path.exists());
    }
}
