//! Rooms as directories.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use application::ftp::server::{FileError, FileSystem, Placing, Source, Target};
use application::ftp::{Entry, Kind, Path};
use bytes::Bytes;
use host::{Host, WallTime};
use hub::api::{Answer, Request};

use super::Config;
use crate::doors::access::{Access, Guest};
use crate::doors::posting::{self, NotPosted};
use crate::files::{self, Files, FilesError, Opened, Upload};
use crate::shard::Shard;

/// Directories that one session may make. They are there for itself, until it ends: a file in one makes it last.
const DIRECTORIES: usize = 256;

/// What clients call themselves that have no name.
const ANONYMOUS: [&str; 2] = ["anonymous", "ftp"];

/// Rooms as directories, for one session.
pub(super) struct Rooms<H: Host> {
    shard: Shard<H>,
    files: Files,
    config: Arc<Config>,
    /// Whether those without a password may come in.
    open: bool,
    made: Arc<Mutex<BTreeSet<Path>>>,
}

impl<H: Host> Clone for Rooms<H> {
    fn clone(&self) -> Self {
        Self {
            shard: self.shard.clone(),
            files: self.files.clone(),
            config: self.config.clone(),
            open: self.open,
            made: self.made.clone(),
        }
    }
}

/// What a path means.
enum Place<'a> {
    Root,
    Rooms,
    Room(&'a str),
    /// Something in a room: a file, or a directory of files.
    Inside(&'a str, String),
}

impl<H: Host> Rooms<H> {
    pub(super) fn new(shard: Shard<H>, files: Files, config: Arc<Config>, open: bool) -> Self {
        Self { shard, files, config, open, made: Arc::default() }
    }

    fn made(&self) -> std::sync::MutexGuard<'_, BTreeSet<Path>> {
        self.made.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The room and the name of a file that is to be written, renamed or read.
    fn file<'a>(&self, user: &Guest, path: &'a Path) -> Result<(&'a str, String), FileError> {
        match place(user, path)? {
            Place::Inside(room, name) => Ok((room, name)),
            _ => Err(FileError::NotAllowed("files are in /rooms/NAME/, and nowhere else".into())),
        }
    }

    /// What there is under a name in a room, if it is a file.
    fn look_at_file(&self, user: &Guest, room: &str, name: &str) -> Option<Entry> {
        let last = name.rsplit('/').next().unwrap_or(name).to_owned();
        // What the client has begun is newer than what there was.
        if let Some((size, modified)) = self.files.unfinished(room, name, &user.name) {
            return Some(Entry { name: last, kind: Kind::File, size, modified });
        }
        self.files.named(room, name).map(|entry| file_entry(&entry, last))
    }

    async fn rooms(&self, user: &Guest, limit: usize) -> Result<Vec<Entry>, FileError> {
        let asked = self.shard.call(Request::Channels { pattern: String::new() }).await;
        let Some(Ok(Answer::Channels(channels))) = asked else {
            return Err(FileError::Later("the rooms cannot be listed now".into()));
        };
        let mut names: BTreeSet<String> = channels.into_keys().collect();
        names.extend(self.files.rooms().iter().map(|room| room.to_string()));
        // A room's name may be no name of a directory.
        names.retain(|name| user.may_use(name) && Path::root().resolve(name) == Ok(Path::root().join(name)));
        Ok(names.into_iter().take(limit).map(directory).collect())
    }

    /// What is in a directory of a room. Uploads that broke off are not: there is nothing to fetch yet.
    fn inside(&self, path: &Path, room: &str, prefix: &str, limit: usize) -> Vec<Entry> {
        let mut found: BTreeMap<String, Entry> = BTreeMap::new();
        for entry in self.files.list(room, prefix, usize::MAX) {
            let Some(rest) = entry.name.strip_prefix(prefix) else { continue };
            let (name, there) = match rest.split_once('/') {
                Some((name, _)) => (name, directory(name.to_owned())),
                None => (rest, file_entry(&entry, rest.to_owned())),
            };
            found.insert(name.to_owned(), there);
        }
        for made in self.made().iter().filter(|made| made.parent() == *path) {
            if let Some(name) = made.name() {
                found.entry(name.to_owned()).or_insert_with(|| directory(name.to_owned()));
            }
        }
        found.into_values().take(limit).collect()
    }

    fn is_directory(&self, path: &Path, room: &str, name: &str) -> bool {
        self.made().contains(path) || !self.files.list(room, &format!("{name}/"), 1).is_empty()
    }
}

impl<H: Host> FileSystem for Rooms<H> {
    type User = Guest;
    type Source = Reader;
    type Target = Writer<H>;

    async fn log_in(&self, user: &str, password: &str, _: IpAddr, _: bool) -> Option<Guest> {
        if self.open && ANONYMOUS.contains(&user.to_ascii_lowercase().as_str()) {
            return Some(Access::anybody("anonymous"));
        }
        self.config.access.user(user, password)
    }

    async fn look(&self, user: &Guest, path: &Path) -> Result<Entry, FileError> {
        let name = path.name().unwrap_or("/").to_owned();
        match place(user, path)? {
            Place::Root | Place::Rooms | Place::Room(_) => Ok(directory(name)),
            Place::Inside(room, inside) => {
                if let Some(entry) = self.look_at_file(user, room, &inside) {
                    return Ok(entry);
                }
                self.is_directory(path, room, &inside).then(|| directory(name)).ok_or(FileError::NotFound)
            }
        }
    }

    async fn list(&self, user: &Guest, path: &Path, limit: usize) -> Result<Vec<Entry>, FileError> {
        match place(user, path)? {
            Place::Root => Ok(vec![directory("rooms".into())]),
            Place::Rooms => self.rooms(user, limit).await,
            Place::Room(room) => Ok(self.inside(path, room, "", limit)),
            Place::Inside(room, name) if self.is_directory(path, room, &name) => {
                Ok(self.inside(path, room, &format!("{name}/"), limit))
            }
            Place::Inside(room, name) => {
                self.look_at_file(user, room, &name).map(|entry| vec![entry]).ok_or(FileError::NotFound)
            }
        }
    }

    async fn make_directory(&self, user: &Guest, path: &Path) -> Result<(), FileError> {
        match place(user, path)? {
            Place::Root | Place::Rooms => Err(FileError::NotAllowed("it is there already".into())),
            // A room is there as soon as something is in it.
            Place::Room(_) => Ok(()),
            Place::Inside(room, name) if self.look_at_file(user, room, &name).is_some() => {
                Err(FileError::NotAllowed("a file of that name is there already".into()))
            }
            Place::Inside(..) => {
                let mut made = self.made();
                if made.len() >= DIRECTORIES {
                    return Err(FileError::Full(format!("one session may make {DIRECTORIES} directories")));
                }
                made.insert(path.clone());
                Ok(())
            }
        }
    }

    async fn remove_directory(&self, user: &Guest, path: &Path) -> Result<(), FileError> {
        place(user, path)?;
        if self.made().remove(path) {
            return Ok(());
        }
        Err(FileError::NotAllowed("a directory goes with its last file".into()))
    }

    async fn remove(&self, user: &Guest, path: &Path) -> Result<(), FileError> {
        let (room, name) = self.file(user, path)?;
        if self.files.forget(room, &name, &user.name) {
            return Ok(());
        }
        match self.files.named(room, &name) {
            Some(_) => Err(FileError::NotAllowed("a file in a room goes with its message".into())),
            None => Err(FileError::NotFound),
        }
    }

    async fn rename(&self, user: &Guest, from: &Path, to: &Path) -> Result<(), FileError> {
        let ((room, from), (other, to)) = (self.file(user, from)?, self.file(user, to)?);
        if self.files.unfinished(room, &from, &user.name).is_none() {
            return Err(match self.files.named(room, &from) {
                Some(_) => {
                    FileError::NotAllowed("a file keeps the name under which the room knows it".into())
                }
                None => FileError::NotFound,
            });
        }
        if room != other {
            return Err(FileError::NotAllowed("a file stays in its room".into()));
        }
        let host = self.shard.host();
        let entry = Upload::name(&self.files, host, room, (&from, &to), &user.name).await.map_err(told)?;
        publish(&self.shard, &self.files, &entry).await
    }

    async fn open(&self, user: &Guest, path: &Path, offset: u64) -> Result<Reader, FileError> {
        let (room, name) = self.file(user, path)?;
        let entry = self.files.named(room, &name).ok_or(FileError::NotFound)?;
        if offset > entry.size {
            return Err(FileError::Position(entry.size));
        }
        Ok(Reader { opened: files::open(&self.files, self.shard.host(), entry), offset })
    }

    async fn create(&self, user: &Guest, path: &Path, placing: Placing) -> Result<Writer<H>, FileError> {
        let unique;
        let path = match placing {
            Placing::Unique => {
                unique =
                    path.join(&format!("{:016x}", self.shard.host().random("names of files").next_u64()));
                &unique
            }
            _ => path,
        };
        let (room, name) = self.file(user, path)?;
        if self.is_directory(path, room, &name) {
            return Err(FileError::Name("that is a directory".into()));
        }
        let placing = match placing {
            Placing::Whole | Placing::Unique => files::Placing::Whole,
            Placing::From(position) => files::Placing::From(position),
            Placing::Behind => files::Placing::Behind,
        };
        let upload = Upload::begin(&self.files, self.shard.host(), room, &name, &user.name, placing).await;
        Ok(Writer {
            upload: upload.map_err(told)?,
            name: path.name().unwrap_or_default().to_owned(),
            shard: self.shard.clone(),
            files: self.files.clone(),
        })
    }
}

/// A file on its way to a client.
pub(super) struct Reader {
    opened: Opened,
    offset: u64,
}

impl Source for Reader {
    fn left(&self) -> u64 {
        self.opened.entry.size.saturating_sub(self.offset)
    }

    async fn read(&mut self, limit: usize) -> Result<Bytes, FileError> {
        let bytes = self.opened.read(self.offset, limit).await.map_err(told)?;
        self.offset += bytes.len() as u64;
        Ok(bytes)
    }
}

/// A file on its way into a room.
pub(super) struct Writer<H: Host> {
    upload: Upload<H>,
    name: String,
    shard: Shard<H>,
    files: Files,
}

impl<H: Host> Target for Writer<H> {
    fn name(&self) -> &str {
        &self.name
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), FileError> {
        self.upload.write(bytes).await.map_err(told)
    }

    async fn finish(self) -> Result<(), FileError> {
        if is_provisional(&self.name) {
            self.upload.lay_aside();
            return Ok(());
        }
        let entry = self.upload.finish().await.map_err(told)?;
        publish(&self.shard, &self.files, &entry).await
    }

    async fn break_off(self) {
        self.upload.lay_aside();
    }
}

/// Tells the room of a file that is stored.
async fn publish<H: Host>(shard: &Shard<H>, files: &Files, entry: &files::Entry) -> Result<(), FileError> {
    let data = serde_json::json!({
        "via": "ftp",
        "from": { "name": entry.sender },
        "text": entry.name,
        "files": [entry.to_json()],
    });
    let posted = posting::post(shard, &entry.room, &data, entry.id.to_string()).await;
    let Err(error) = posted else { return Ok(()) };
    // It may have been said all the same, and the answer was lost: then the sweep would find it named. Only what was
    // refused is surely not.
    if let NotPosted::Refused(_) = error {
        files.remove(shard.host(), entry.id.clone()).await;
    }
    Err(match error {
        NotPosted::Refused(why) => FileError::NotAllowed(why),
        NotPosted::Later(why) => FileError::Later(why),
    })
}

/// What `path` means to `user`.
fn place<'a>(user: &Guest, path: &'a Path) -> Result<Place<'a>, FileError> {
    match path.parts() {
        [] => Ok(Place::Root),
        [rooms, ..] if rooms != "rooms" => Err(FileError::NotFound),
        [_] => Ok(Place::Rooms),
        [_, room, ..] if !user.may_use(room) => {
            Err(FileError::NotAllowed("this room is not open to you".into()))
        }
        [_, room] => Ok(Place::Room(room)),
        [_, room, inside @ ..] => Ok(Place::Inside(room, inside.join("/"))),
    }
}

/// Whether a name says that the file is not done: clients that rename when it is use such.
fn is_provisional(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    name.starts_with('.') || [".tmp", ".part", ".partial", ".filepart"].iter().any(|end| name.ends_with(end))
}

fn directory(name: String) -> Entry {
    Entry { name, kind: Kind::Directory, size: 0, modified: WallTime::from_unix_millis(0) }
}

fn file_entry(entry: &files::Entry, name: String) -> Entry {
    Entry { name, kind: Kind::File, size: entry.size, modified: WallTime::from_unix_millis(entry.time) }
}

fn told(error: FilesError) -> FileError {
    match error {
        FilesError::NotFound => FileError::NotFound,
        FilesError::Position(there) => FileError::Position(there),
        FilesError::TooLarge(_) | FilesError::RoomFull(_) | FilesError::TooMany(_) | FilesError::Full => {
            FileError::Full(error.to_string())
        }
        FilesError::Busy | FilesError::Disk(_) => FileError::Later(error.to_string()),
    }
}
