//! The proxies of macOS' network settings, for the network in use.

use system_configuration::core_foundation::array::CFArray;
use system_configuration::core_foundation::base::{CFType, TCFType};
use system_configuration::core_foundation::number::CFNumber;
use system_configuration::core_foundation::string::CFString;
use system_configuration::dynamic_store::SCDynamicStoreBuilder;

/// One setting's value.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// A switch (0 or 1) or a port.
    Number(i64),
    /// A host or an address.
    Text(String),
    /// What is reached directly.
    List(Vec<String>),
}

/// The settings by their names, as `SCDynamicStoreCopyProxies` gives them; none if the system does not tell them.
pub fn proxy_settings() -> Vec<(String, Setting)> {
    let store = SCDynamicStoreBuilder::new("genai-bridge").build();
    let Some(proxies) = store.and_then(|store| store.get_proxies()) else {
        return Vec::new();
    };
    let (names, values) = proxies.get_keys_and_values();
    let pairs = names.into_iter().zip(values).filter_map(|(name, value)| {
        // SAFETY: the dictionary holds both, and is alive.
        let name = unsafe { CFString::wrap_under_get_rule(name.cast()) };
        // SAFETY: as above.
        let value = unsafe { CFType::wrap_under_get_rule(value) };
        Some((name.to_string(), read(&value)?))
    });
    pairs.collect()
}

fn read(value: &CFType) -> Option<Setting> {
    if let Some(number) = value.downcast::<CFNumber>() {
        return number.to_i64().map(Setting::Number);
    }
    if let Some(text) = value.downcast::<CFString>() {
        return Some(Setting::Text(text.to_string()));
    }
    let list = value.downcast::<CFArray>()?;
    let texts = list.get_all_values().into_iter().filter_map(|entry| {
        // SAFETY: the array holds it, and is alive.
        let entry = unsafe { CFType::wrap_under_get_rule(entry) };
        entry.downcast::<CFString>().map(|text| text.to_string())
    });
    Some(Setting::List(texts.collect()))
}
