//! The forms that the value of an option can have, and how one is checked. Knows no option's meaning.
//! A value may be a secret, so no message here repeats a text that was given.

use serde_json::Value;

use crate::error::{Error, Kind, Result};

/// The largest number of seconds whose milliseconds a JavaScript date can still hold.
const MAX_SECONDS: f64 = 8.64e12;
/// The longest time that a JavaScript timer can wait.
const MAX_TIMER_MS: f64 = 2_147_483_647.0;

/// What kind of value an option takes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// Any string.
    Text,
    /// One of these strings.
    Choice(&'static [&'static str]),
    /// Seconds, at least a millisecond of them, or a function that the binding keeps.
    Ttl,
    /// Seconds, zero included.
    Seconds,
    /// Milliseconds, at least one.
    Millis,
    /// A whole number from 1.
    Count,
    /// A whole number from 0.
    Index,
    /// True or false.
    Switch,
    /// A list of strings.
    Names,
    /// `{ stringify, parse }`, kept by the binding.
    Serializer,
}

impl Form {
    fn wanted(self) -> String {
        match self {
            Form::Text => "a string".into(),
            Form::Choice(names) => {
                names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(" or ")
            }
            Form::Ttl => {
                format!(
                    "a number of seconds, 0.001 or more and {MAX_SECONDS} at most, or a function that returns one"
                )
            }
            Form::Seconds => {
                format!("a number of seconds, 0 or more and {MAX_SECONDS} at most")
            }
            Form::Millis => {
                format!("a number of milliseconds, 1 or more and {MAX_TIMER_MS} at most")
            }
            Form::Count => "a whole number, 1 or more".into(),
            Form::Index => "a whole number, 0 or more".into(),
            Form::Switch => "true or false".into(),
            Form::Names => "an array of strings".into(),
            Form::Serializer => "an object with the functions stringify and parse".into(),
        }
    }
}

pub(super) fn wrong(message: String) -> Error {
    Error::new(Kind::Config, message)
}

/// The name that `name` is most likely a slip of, if any is near enough.
pub(super) fn nearest<'a>(name: &str, names: &[&'a str]) -> Option<&'a str> {
    let name = name.to_lowercase();
    names
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&name, &known.to_lowercase()), *known))
        .min()
        .filter(|(distance, known)| *distance <= 2.max(known.len() / 3) && *distance < known.len())
        .map(|(_, known)| known)
}

fn is_whole(value: &Value, least: f64) -> bool {
    value.as_f64().is_some_and(|n| n >= least && n.fract() == 0.0 && n < 2f64.powi(53))
}

/// Refuses a value that does not have the form.
pub(super) fn check(name: &str, form: Form, value: &Value) -> Result<()> {
    let is_function = |value: &Value| value.get("function").is_some();
    let fits = match (form, value) {
        (Form::Text, Value::String(_)) | (Form::Switch, Value::Bool(_)) => true,
        (Form::Ttl, Value::Number(_)) => {
            value.as_f64().is_some_and(|seconds| (0.001..=MAX_SECONDS).contains(&seconds))
        }
        (Form::Ttl, value) => is_function(value),
        (Form::Seconds, Value::Number(_)) => {
            value.as_f64().is_some_and(|seconds| (0.0..=MAX_SECONDS).contains(&seconds))
        }
        (Form::Choice(names), Value::String(text)) => names.contains(&text.as_str()),
        (Form::Millis, Value::Number(_)) => {
            value.as_f64().is_some_and(|ms| (1.0..=MAX_TIMER_MS).contains(&ms))
        }
        (Form::Count, Value::Number(_)) => is_whole(value, 1.0),
        (Form::Index, Value::Number(_)) => is_whole(value, 0.0),
        (Form::Names, Value::Array(names)) => names.iter().all(Value::is_string),
        (Form::Serializer, value) => {
            ["stringify", "parse"].iter().all(|member| value.get(member).is_some_and(is_function))
        }
        _ => false,
    };
    if fits {
        return Ok(());
    }
    let got = match value {
        // A prefix or URL may be a secret; its kind says enough.
        Value::String(_) => "a string".into(),
        Value::Object(members) => match members.iter().next() {
            Some((kind, Value::String(text))) if kind == "number" => text.clone(),
            Some((kind, _)) if kind == "function" => "a function".into(),
            _ => "an object".into(),
        },
        value => value.to_string(),
    };
    Err(wrong(format!("\"{name}\" must be {}; got {got}", form.wanted())))
}

/// The value of a URL parameter, in the form its option has. No message repeats it: it may be a part of a
/// password.
pub(super) fn from_text(name: &str, form: Form, text: &str) -> Result<Value> {
    let value = match form {
        Form::Text if name != "url" => Value::from(text),
        Form::Choice(_) => Value::from(text),
        Form::Ttl | Form::Seconds | Form::Millis | Form::Count | Form::Index => {
            match text.parse::<f64>() {
                Ok(number) if number.is_finite() && !text.is_empty() => Value::from(number),
                _ => {
                    return Err(wrong(format!("\"{name}\" in the URL must be {}", form.wanted())));
                }
            }
        }
        Form::Switch => match text {
            "true" => Value::from(true),
            "false" => Value::from(false),
            _ => {
                return Err(wrong(format!("\"{name}\" in the URL must be true or false")));
            }
        },
        Form::Names => text.split(',').filter(|name| !name.is_empty()).collect(),
        _ => return Err(wrong(format!("\"{name}\" cannot be given in the URL"))),
    };
    check(name, form, &value)?;
    Ok(value)
}
