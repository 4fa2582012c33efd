//! Login: why a login at a proxy did not come about, and what a person can do about it.

/// Chosen where the login ends, by what was seen there.
#[cfg_attr(
    not(all(feature = "negotiate", unix, not(target_vendor = "apple"))),
    expect(dead_code, reason = "what goes wrong with a ticket is seen by GSSAPI alone")
)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginTrouble {
    /// No login was given for this proxy.
    Missing,
    /// The proxy did not accept it.
    Refused,
    /// The proxy takes only schemes that are not supported.
    NotSupported,
    /// The proxy takes a scheme whose feature is not compiled in.
    NeedsFeature,
    /// The proxy takes Kerberos, which was not allowed for it.
    NotAllowed,
    /// The scheme could not be begun: its challenge is wrong, or a login of the program's own
    /// failed.
    NotBegun,
    /// There is no library for Kerberos.
    NoLibrary,
    /// The user has no ticket.
    NoTicket,
    /// The user's ticket has expired.
    TicketExpired,
    /// The KDC does not know the proxy by its name.
    UnknownService,
    /// No KDC answers.
    KdcAway,
}

impl LoginTrouble {
    pub(super) const fn advice(self) -> &'static str {
        match self {
            Self::Missing => {
                "give the login for the proxy, for instance in its URL: http://user:password@proxy:port"
            }
            Self::Refused => {
                "check user, password and domain before you try again: the proxy counts wrong logins and may lock the account; the bridge sends this one again only after some minutes"
            }
            Self::NotSupported => {
                "NTLM is not supported, since Microsoft has deprecated it: ask the proxy's administrator for Kerberos (Negotiate), Digest or Basic; or run a local proxy that logs in (px, cntlm), or let the program log in itself (`Proxy::login_with`)"
            }
            Self::NeedsFeature => {
                "build with the feature that the error names, or run a local proxy that logs in (px, cntlm)"
            }
            Self::NotAllowed => {
                "allow Kerberos (Negotiate) for this proxy by its name, such as proxy.example.com (`Proxy::negotiate`); a user and password do not help here"
            }
            Self::NotBegun => "the login was not sent: look at the reason in the error",
            Self::NoLibrary => {
                "install Kerberos (libgssapi-krb5-2, krb5-libs, or Heimdal), then log in with kinit"
            }
            Self::NoTicket => {
                "log in to the domain with kinit; klist shows the tickets; a service needs a keytab or a cache that KRB5CCNAME names"
            }
            Self::TicketExpired => {
                "renew the ticket with kinit (or kinit -R); klist shows when it expires"
            }
            Self::UnknownService => {
                "write the proxy's name as the domain knows it (setspn -Q HTTP/name on Windows, kvno HTTP/name here): Kerberos does not work with an alias or an address"
            }
            Self::KdcAway => {
                "check that this machine is in the company's network (VPN) and finds the domain's servers: kinit shows it; see krb5.conf"
            }
        }
    }
}
