//! The proxy of Windows' Internet settings, as the logged-in user sees it.

use std::io;
use std::ptr::null_mut;

use windows_sys::Win32::Foundation::GlobalFree;
use windows_sys::Win32::Networking::WinHttp::{
    WINHTTP_CURRENT_USER_IE_PROXY_CONFIG, WinHttpGetIEProxyConfigForCurrentUser,
};

/// What the user, or a policy, has set; each text as Windows keeps it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct InternetSettings {
    /// Whether a PAC file is to be looked for in the network (WPAD).
    pub detects: bool,
    /// The address of a PAC file.
    pub pac: Option<String>,
    /// One proxy for all, or a list of `scheme=proxy`.
    pub proxy: Option<String>,
    /// What is reached directly.
    pub bypass: Option<String>,
}

/// Reads the settings.
///
/// # Errors
/// Windows does not tell them.
pub fn internet_settings() -> io::Result<InternetSettings> {
    let mut found = WINHTTP_CURRENT_USER_IE_PROXY_CONFIG {
        fAutoDetect: 0,
        lpszAutoConfigUrl: null_mut(),
        lpszProxy: null_mut(),
        lpszProxyBypass: null_mut(),
    };
    // SAFETY: the function fills the structure that it is given.
    if unsafe { WinHttpGetIEProxyConfigForCurrentUser(&raw mut found) } == 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(InternetSettings {
        detects: found.fAutoDetect != 0,
        pac: take(found.lpszAutoConfigUrl),
        proxy: take(found.lpszProxy),
        bypass: take(found.lpszProxyBypass),
    })
}

/// A text of Windows' own, which is freed; `None` if it is null or empty.
fn take(text: *mut u16) -> Option<String> {
    if text.is_null() {
        return None;
    }
    let mut length = 0;
    // SAFETY: the text ends with a zero, and nothing behind it is read.
    while unsafe { *text.add(length) } != 0 {
        length += 1;
    }
    // SAFETY: so many units stand there, as was just seen.
    let units = unsafe { std::slice::from_raw_parts(text, length) };
    let taken = String::from_utf16_lossy(units);
    // SAFETY: whoever asks for the settings frees their texts so, and it is not used any more.
    unsafe {
        GlobalFree(text.cast());
    }
    Some(taken).filter(|text| !text.is_empty())
}
