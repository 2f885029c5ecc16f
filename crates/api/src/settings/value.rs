//! The text that was given for a setting, and the rule that all such texts obey.

use std::{ffi::OsString, fmt};

use super::InvalidSetting;

/// The text that was given for a setting, by an option or a variable.
///
/// The function `set` is the only access to it, so that no setting escapes the rule.
#[derive(Clone, Default)]
pub struct SettingValue(OsString);

impl From<OsString> for SettingValue {
    fn from(text: OsString) -> Self {
        Self(text)
    }
}

impl From<&str> for SettingValue {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

/// The text is not shown: it may be a secret.
impl fmt::Debug for SettingValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The value of a setting, if it is set.
///
/// An empty value counts as unset: compose files pass on variables that are not set.
///
/// # Errors
/// When the value is not UTF-8, or [`flaw`] finds one in it.
pub(super) fn set<'a>(
    name: &'static str,
    value: Option<&'a SettingValue>,
) -> Result<Option<&'a str>, InvalidSetting> {
    let Some(value) = value.filter(|value| !value.0.is_empty()) else { return Ok(None) };
    let text = value.0.to_str().ok_or_else(|| InvalidSetting::new(name, "must be UTF-8"))?;
    match flaw(text) {
        Some(flaw) => Err(InvalidSetting::new(name, format!("must not have {flaw}"))),
        None => Ok(Some(text)),
    }
}

/// What makes a text invalid as the value of any setting, if anything does.
///
/// Secrets that end with a line break, files with CRLF and the like would otherwise name another
/// database, directory or role than the one that was meant.
pub(super) fn flaw(text: &str) -> Option<&'static str> {
    if text.contains(char::is_control) {
        return Some("control characters, such as a line break");
    }
    (text.trim() != text).then_some("white space at its beginning or end")
}
