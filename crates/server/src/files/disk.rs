//! Files in a directory: for each its bytes (`ID`), what is known of it (`ID.json`), and a picture's thumbnail
//! (`ID.thumbnail`). `ID.json` comes last: what has none is not there.

use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::entry::{Entry, Id};
use super::storage::{Part, Storage};

/// A directory of files.
pub(super) struct Disk {
    directory: PathBuf,
}

struct DiskPart {
    id: Id,
    file: File,
    path: PathBuf,
    /// It has its name, and is to stay.
    kept: bool,
}

impl Disk {
    /// The files of `directory`. What is there by halves is removed.
    pub(super) fn open(directory: &Path) -> io::Result<(Self, Vec<Entry>)> {
        fs::create_dir_all(directory)?;
        let mut names = BTreeSet::new();
        for found in fs::read_dir(directory)? {
            if let Ok(name) = found?.file_name().into_string() {
                names.insert(name);
            }
        }
        let disk = Self { directory: directory.to_owned() };
        let mut entries = Vec::new();
        let mut wanted = BTreeSet::new();
        for name in &names {
            let Some(id) = name.strip_suffix(".json").and_then(Id::parse) else { continue };
            let Some(entry) = disk.read_entry(&id) else { continue };
            wanted.extend([name.clone(), id.to_string(), format!("{id}.thumbnail")]);
            entries.push(entry);
        }
        // Only what we could have made: the directory may have been somebody else's before.
        let ours = |name: &str| Id::parse(name.split('.').next().unwrap_or_default()).is_some();
        for name in names.difference(&wanted).filter(|name| ours(name)) {
            fs::remove_file(directory.join(name))?;
        }
        Ok((disk, entries))
    }

    /// What is known of a file, if all of it is there.
    fn read_entry(&self, id: &Id) -> Option<Entry> {
        let entry: Entry = serde_json::from_slice(&fs::read(self.path(id, ".json")).ok()?).ok()?;
        let length = |suffix| fs::metadata(self.path(id, suffix)).ok().map(|data| data.len());
        let whole = length("") == Some(entry.size)
            && entry.picture.is_none_or(|picture| length(".thumbnail") == Some(picture.thumbnail));
        (entry.id == *id && whole).then_some(entry)
    }

    fn path(&self, id: &Id, suffix: &str) -> PathBuf {
        self.directory.join(format!("{id}{suffix}"))
    }

    /// Writes a small file under a name that is not its own yet, and syncs it.
    fn write(&self, id: &Id, suffix: &str, bytes: &[u8]) -> io::Result<PathBuf> {
        let path = self.path(id, &format!("{suffix}.part"));
        let mut file = File::create(&path)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        Ok(path)
    }
}

impl Storage for Disk {
    fn create(&self, id: &Id) -> io::Result<Box<dyn Part>> {
        let path = self.path(id, ".part");
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(&path)?;
        Ok(Box::new(DiskPart { id: id.clone(), file, path, kept: false }))
    }

    fn keep(&self, mut part: Box<dyn Part>, entry: &Entry, thumbnail: Option<&[u8]>) -> io::Result<()> {
        let id = &entry.id;
        part.sync()?;
        let json = self.write(id, ".json", &serde_json::to_vec(entry)?)?;
        if let Some(thumbnail) = thumbnail {
            let path = self.write(id, ".thumbnail", thumbnail)?;
            fs::rename(path, self.path(id, ".thumbnail"))?;
        }
        fs::rename(self.path(id, ".part"), self.path(id, ""))?;
        part.into_bytes();
        fs::rename(json, self.path(id, ".json"))?;
        // The names are in the directory, and that is a file of its own.
        #[cfg(unix)]
        File::open(&self.directory)?.sync_all()?;
        Ok(())
    }

    fn read(&self, id: &Id, offset: u64, limit: usize) -> io::Result<Bytes> {
        read_at(&mut File::open(self.path(id, ""))?, offset, limit)
    }

    fn thumbnail(&self, id: &Id) -> io::Result<Bytes> {
        Ok(fs::read(self.path(id, ".thumbnail"))?.into())
    }

    fn remove(&self, id: &Id) -> io::Result<()> {
        // What is known of it goes first: the rest is nothing then.
        fs::remove_file(self.path(id, ".json"))?;
        let _ = fs::remove_file(self.path(id, ".thumbnail"));
        fs::remove_file(self.path(id, ""))
    }
}

impl Part for DiskPart {
    fn id(&self) -> &Id {
        &self.id
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::End(0))?;
        self.file.write_all(bytes)
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)
    }

    fn read(&mut self, offset: u64, limit: usize) -> io::Result<Bytes> {
        read_at(&mut self.file, offset, limit)
    }

    /// The bytes have their name.
    fn into_bytes(mut self: Box<Self>) -> Option<Vec<u8>> {
        self.kept = true;
        None
    }

    fn sync(&mut self) -> io::Result<()> {
        self.file.sync_all()
    }
}

impl Drop for DiskPart {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn read_at(file: &mut File, offset: u64, limit: usize) -> io::Result<Bytes> {
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(limit as u64).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}
