//! Where the sessions are: the URL and the options, turned into what the driver wants. Knows the
//! names of options; never connects. The URL may carry a password, so no message repeats it.

use std::time::Duration;

use mongodb::{
    error::ErrorKind,
    options::{Acknowledgment, ClientOptions, ConnectionString, HostInfo, WriteConcern},
};

use crate::{
    error::{Error, Kind, Result},
    options::{Form, Options},
};

/// The options of this backend, beside those of all.
pub const OPTIONS: &[(&str, Form)] = &[
    ("collection", Form::Text),
    ("database", Form::Text),
    ("commandTimeout", Form::Millis),
    ("connectTimeout", Form::Millis),
    ("passThrough", Form::Switch),
];
/// As in connect-mongo: 14 days, in seconds.
pub const DEFAULT_TTL_S: f64 = 1_209_600.0;
/// The collection and the database of connect-mongo.
const DEFAULT_COLLECTION: &str = "sessions";
const DEFAULT_DATABASE: &str = "test";
/// `connectTimeout`, in ms: as long as a call may take by default.
const DEFAULT_CONNECT_TIMEOUT_MS: u64 = 2000;
/// How much of a call's deadline it waits for a server that can take it: less than until the server counts
/// as silent, so that the caller is told that there is none.
const SELECTION_SHARE: f64 = 0.8;

/// Where a store keeps its sessions, and how long it waits for it.
pub struct Place {
    connection: ConnectionString,
    /// Database and collection.
    pub database: String,
    pub collection: String,
    /// What each `_id` begins with.
    pub prefix: String,
    /// See [`crate::backend::Backend::identity`].
    pub identity: String,
    /// The deadline of a call.
    pub command_timeout: Duration,
    /// How long a connection may take to be made.
    pub connect_timeout: Duration,
}

impl Place {
    /// Reads and checks the URL and the options.
    pub fn new(options: &Options) -> Result<Place> {
        let url = url(options);
        let mut connection = ConnectionString::parse(&url)
            .map_err(|error| refused(&options.place, &options.parameters, &error))?;
        let ms = |name| options.number(name).map(|ms| Duration::from_millis(ms as u64));
        let own = ms("connectTimeout").or(connection.connect_timeout);
        let connect_timeout = own.unwrap_or(Duration::from_millis(DEFAULT_CONNECT_TIMEOUT_MS));
        let command_timeout = Duration::from_millis(options.command_timeout_ms);
        connection.connect_timeout = Some(connect_timeout);
        let longest = connect_timeout.min(command_timeout.mul_f64(SELECTION_SHARE));
        let selection = connection.server_selection_timeout.map_or(longest, |own| own.min(longest));
        connection.server_selection_timeout = Some(selection);
        // A write is acknowledged when it survives a failover, whatever the server's default is.
        let concern = connection.write_concern.get_or_insert_with(WriteConcern::default);
        if *concern.w.get_or_insert(Acknowledgment::Majority) == Acknowledgment::Nodes(0) {
            return Err(Error::new(
                Kind::Config,
                "\"url\" has w=0, with which MongoDB does not tell whether a session was saved",
            ));
        }
        connection.app_name.get_or_insert_with(|| "rust-session-store".into());
        let named = |name: &str, default: &str| match options.text(name) {
            Some("") => Err(Error::new(Kind::Config, format!("\"{name}\" must not be empty"))),
            given => Ok(given.unwrap_or(default).to_owned()),
        };
        let default = connection.default_database.clone();
        let database = named("database", default.as_deref().unwrap_or(DEFAULT_DATABASE))?;
        let collection = named("collection", DEFAULT_COLLECTION)?;
        let prefix = options.prefix.clone().unwrap_or_default();
        let identity = format!("{}/{database}/{collection}#{prefix}", hosts(&connection.host_info));
        Ok(Place {
            connection,
            database,
            collection,
            prefix,
            identity,
            command_timeout,
            connect_timeout,
        })
    }

    /// The driver's options; looks the servers up where the URL leaves that to DNS.
    pub async fn resolve(&self) -> mongodb::error::Result<ClientOptions> {
        ClientOptions::parse(self.connection.clone()).await
    }

    /// What writes wait for.
    pub fn write_concern(&self) -> WriteConcern {
        self.connection.write_concern.clone().unwrap_or_default()
    }
}

/// The URL as the driver reads it: without the parameters that are options of ours.
fn url(options: &Options) -> String {
    let mut url = format!("{}:{}", options.scheme, options.place);
    let encode = |text: &str| -> String {
        form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>().replace('+', "%20")
    };
    for (at, (name, value)) in options.parameters.iter().enumerate() {
        // The driver wants the slash before the question mark.
        let start = match at {
            0 if !options.place.trim_start_matches('/').contains('/') => "/?",
            0 => "?",
            _ => "&",
        };
        url += &format!("{start}{}={}", encode(name), encode(value));
    }
    url
}

/// What the driver says of a URL, unless it repeats anything that may be secret.
fn refused(place: &str, parameters: &[(String, String)], error: &mongodb::error::Error) -> Error {
    let said = match error.kind.as_ref() {
        ErrorKind::InvalidArgument { message, .. } => message.clone(),
        kind => kind.to_string(),
    };
    let user = place.rsplit_once('@').map_or("", |(user, _)| user);
    let is_secret = |name: &str| {
        let name = name.to_ascii_lowercase();
        name.contains("password") || name.contains("properties")
    };
    let mut secrets = user
        .split([':', '@', '/'])
        .chain(parameters.iter().filter(|(name, _)| is_secret(name)).map(|(_, value)| &**value))
        .filter(|text| !text.is_empty());
    // A parameter with an "@" may be the rest of a password with a "?" or a "&" in it.
    let is_cut = parameters.iter().any(|(name, value)| name.contains('@') || value.contains('@'));
    let detail = match is_cut || secrets.any(|secret| said.contains(secret)) {
        true => "what is wrong is not repeated here, since it may be a secret",
        false => &said,
    };
    Error::new(Kind::Config, format!("\"url\" is not a MongoDB connection string: {detail}"))
}

fn hosts(info: &HostInfo) -> String {
    match info {
        HostInfo::HostIdentifiers(hosts) => {
            let mut hosts: Vec<String> = hosts.iter().map(ToString::to_string).collect();
            hosts.sort_unstable();
            format!("mongodb://{}", hosts.join(","))
        }
        HostInfo::DnsRecord(name) => format!("mongodb+srv://{name}"),
        _ => "mongodb:".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backends::REGISTRY;

    fn place(json: &str) -> Result<Place> {
        Place::new(&Options::parse(json, &REGISTRY)?)
    }

    #[test]
    fn the_defaults_are_those_of_connect_mongo() {
        let place = place(r#"{"url":"mongodb://b,a:1"}"#).unwrap();
        assert_eq!(
            (&*place.database, &*place.collection, &*place.prefix),
            ("test", "sessions", "")
        );
        assert_eq!(place.identity, "mongodb://a:1,b:27017/test/sessions#");
        assert_eq!(place.write_concern().w, Some(Acknowledgment::Majority));
    }

    #[test]
    fn the_url_decides_what_it_names() {
        let url = "mongodb://u:p%40w@h/shop?w=1&collection=s&authSource=admin&connectTimeoutMS=700";
        let place = place(&format!(r#"{{"url":"{url}","prefix":"x"}}"#)).unwrap();
        assert_eq!((&*place.database, &*place.collection, &*place.prefix), ("shop", "s", "x"));
        assert_eq!(place.write_concern().w, Some(Acknowledgment::Nodes(1)));
        assert_eq!(place.connect_timeout, Duration::from_millis(700));
        let credential = place.connection.credential.as_ref().unwrap();
        assert_eq!(credential.password.as_deref(), Some("p@w"));
        assert_eq!(credential.source.as_deref(), Some("admin"));
        assert!(!place.identity.contains("p@w"));
    }

    #[test]
    fn a_call_is_told_before_its_deadline_that_no_server_is_there() {
        let url = "mongodb://h/?serverSelectionTimeoutMS=30000";
        let given = format!(r#"{{"url":"{url}","commandTimeout":1000}}"#);
        let selection = place(&given).unwrap().connection.server_selection_timeout;
        assert_eq!(selection, Some(Duration::from_millis(800)));
    }

    #[test]
    fn what_is_wrong_is_named_without_secrets() {
        let refusal = |url: &str| {
            let refused = place(&format!(r#"{{"url":"{url}"}}"#)).err().unwrap();
            assert_eq!(refused.kind(), Kind::Config);
            refused.message().to_owned()
        };
        assert!(refusal("mongodb://h/?replicaSett=a").contains("replicaset"));
        assert!(refusal("mongodb://h/?tls=perhaps").contains("tls"));
        assert!(!refusal("mongodb://h/?proxyPassword=ter2&tls=ter2").contains("ter2"));
        assert!(refusal("mongodb://h/?w=0").contains("w=0"));
        for url in [
            "mongodb://u:hun@ter2@h",
            "mongodb://u:hunter2/x@h",
            "mongodb://u:hunter2%@h",
            "mongodb://u:hunter2?x@h/db",
            "mongodb+srv://u:hunter2?x@h/db",
            "mongodb://u:1?hunter2=1@h/db",
            "mongodb://u:1?authSource=a&hunter2=1&b=@h",
        ] {
            let refused = refusal(url);
            assert!(!refused.contains("ter2"), "{refused}");
        }
    }
}
