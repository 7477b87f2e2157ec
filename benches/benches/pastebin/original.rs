//! The Python original, `original.py`: what it needs, and its data in its own layout.

use std::path::{Path, PathBuf};
use std::process::Command;

use redis::aio::ConnectionManager;
use redis::pipe;

use crate::data::{created_at, text, title, uuid};
use crate::program::output;
use crate::{Outcome, folder};

/// The mapper's last version, the last of its client that it works with, and those of the rest that
/// were tried.
const PACKAGES: [&str; 8] = [
    "subconscious==0.8.5",
    "aioredis==1.3.1",
    "hiredis==3.5.0",
    "aiohttp==3.14.5",
    "aiohttp-jinja2==1.6",
    "jinja2==3.1.6",
    "uvloop==0.23.0",
    "setuptools==80.9.0",
];

/// What runs the original.
pub(crate) struct Original {
    python: PathBuf,
    /// Of Python and the packages that matter.
    pub(crate) version: String,
}

impl Original {
    /// Installs what it needs into the target folder, unless it is there.
    pub(crate) fn prepare() -> Outcome<Self> {
        let place = folder()?.join("python");
        let (python, installed) = (place.join("bin/python"), place.join("installed"));
        if std::fs::read_to_string(&installed).unwrap_or_default() != PACKAGES.join(" ") {
            eprintln!("installing the Python original");
            output(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&place))
                .map_err(|error| format!("the original needs python3 with its venv module: {error}"))?;
            output(Command::new(&python).args(["-m", "pip", "install", "--quiet"]).args(PACKAGES))?;
            std::fs::write(&installed, PACKAGES.join(" "))?;
        }
        let version = output(Command::new(&python).arg("--version"))?;
        let version = format!("{}, {}", version.trim(), PACKAGES[..4].join(", ").replace("==", " "));
        Ok(Self { python, version })
    }

    pub(crate) fn command(&self, url: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/pastebin/original.py"));
        command.arg(url.trim_start_matches("redis+unix://"));
        command
    }
}

/// What the mapper's `save` leaves: a hash, and a member of a sorted set for each column that can
/// be asked for.
pub(crate) async fn fill(redis: &mut ConnectionManager, from: u64, to: u64) -> Outcome<()> {
    for first in (from..to).step_by(1_000) {
        let mut batch = pipe();
        for at in first..to.min(first + 1_000) {
            let (uuid, created_at) = (uuid(at), created_at(at).format("%Y-%m-%dT%H:%M:%S").to_string());
            let hash = batch.cmd("HSET").arg(format!("Paste:{uuid}")).arg("uuid").arg(&uuid);
            hash.arg("created_at").arg(&created_at).arg("title").arg(title(at)).arg("body").arg(text(at)).ignore();
            for (column, value) in [("uuid", &uuid), ("created_at", &created_at)] {
                let index = format!("index:Paste:{column}");
                batch.cmd("ZADD").arg(index).arg(0).arg(format!("{value}\0{uuid}")).ignore();
            }
        }
        batch.query_async::<()>(redis).await?;
    }
    Ok(())
}
