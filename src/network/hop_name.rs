//! Hop name: how failures name the service; another one after the network was renewed.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

/// Read where something fails, and not before.
#[derive(Debug)]
pub(crate) struct HopName(RwLock<Arc<str>>);

impl HopName {
    pub(crate) fn new(name: impl Into<Arc<str>>) -> Self {
        Self(RwLock::new(name.into()))
    }

    pub(crate) fn get(&self) -> Arc<str> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn set(&self, name: impl Into<Arc<str>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = name.into();
    }
}

impl fmt::Display for HopName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.get())
    }
}
