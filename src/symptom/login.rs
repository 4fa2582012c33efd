//! Login: why a login at a proxy did not come about, and what a person can do about it.

/// Chosen where the login ends, by what was seen there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginTrouble {
    /// No login was given for this proxy.
    Missing,
    /// The proxy did not accept it.
    Refused,
    /// The proxy takes only schemes that are not spoken.
    NotSpoken,
    /// The proxy takes a scheme whose feature is not compiled in.
    NeedsFeature,
    /// The scheme could not be begun: its challenge is wrong, or a login of the program's own failed.
    NotBegun,
}

impl LoginTrouble {
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::Missing => {
                "give the login for the proxy: http://user:password@proxy:port, or basic_auth() of Proxy"
            }
            Self::Refused => {
                "check user, password and domain before you try again: the proxy counts wrong logins and may lock the account; the bridge sends this one again only after some minutes"
            }
            Self::NotSpoken => {
                "ask for Kerberos (Negotiate), Digest or Basic at the proxy, or give a login of your own with login_with() of Proxy, or run a local proxy that logs in (px, cntlm); NTLM is deprecated by Microsoft and not supported"
            }
            Self::NeedsFeature => {
                "build with the named feature of genai-bridge, or run a local proxy that logs in"
            }
            Self::NotBegun => "look at the reason above: the login itself was not sent",
        }
    }
}
