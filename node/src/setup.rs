//! `init`: a new clinic in an empty folder.

use std::path::PathBuf;
use std::sync::Arc;

use salus_api::{ApiError, NetworkMode, Passphrase, Role};
use salus_audit::Control;
use salus_store::Store;
use salus_vault::{Argon2Params, NodeSecrets, RecoveryPhrase, VaultFile, generate_signing_key};
use tokio::sync::mpsc;

use crate::core::{Clock, Core, Staff, failure, roster_role};
use crate::folder::{Folder, Settings, dialable, free_port};

/// What a new clinic is made from.
#[derive(Debug)]
pub struct InitOptions {
    /// The folder to make; it must not hold a clinic.
    pub data_dir: PathBuf,
    /// The clinic's name.
    pub clinic: String,
    /// The founder's name.
    pub staff: String,
    /// The founder's role; the founder is an administrator beside it.
    pub role: Role,
    /// The founder's passphrase.
    pub passphrase: Passphrase,
    /// Where the node will look for others.
    pub network: NetworkMode,
    /// Cheap key derivation: for tests and the throwaway demo only, never for patients.
    pub test_kdf: bool,
}

/// What `init` made. The recovery words exist nowhere else.
pub struct InitOutcome {
    /// The clinic's id.
    pub clinic_id: String,
    /// The clinic's name.
    pub clinic_name: String,
    /// The founder.
    pub staff: String,
    /// The root key as words: shown once, never stored.
    pub recovery_words: String,
    /// Where the node will be reached, `ENDPOINT@IP:PORT`.
    pub addresses: Vec<String>,
}

/// The clock of the operating system.
pub fn system_clock() -> Clock {
    Arc::new(|| {
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .ok()
            .and_then(|since| u64::try_from(since.as_millis()).ok())
            .unwrap_or(0)
    })
}

/// Makes a clinic: keys, vault, roster, store. On failure what was made so far is taken away again.
pub fn init(options: InitOptions) -> Result<InitOutcome, ApiError> {
    let folder = Folder::new(&options.data_dir);
    if folder.is_initialised() || folder.store().exists() {
        return Err(ApiError::failed(format!(
            "a clinic lives in {} already",
            folder.root().display()
        ))
        .hint("name another folder with --data-dir; nothing was changed"));
    }
    check_name("clinic", &options.clinic)?;
    check_name("staff", &options.staff)?;
    folder.create()?;
    let _held = folder.lock()?.ok_or_else(|| {
        ApiError::failed(format!(
            "{} is in use by another process",
            folder.root().display()
        ))
    })?;
    // Another `init` may have been quicker.
    if folder.is_initialised() || folder.store().exists() {
        return Err(ApiError::failed(format!(
            "a clinic lives in {} already",
            folder.root().display()
        )));
    }
    let made = make(&folder, options);
    if made.is_err() {
        // Whatever is there is incomplete and was made a moment ago, here.
        for path in folder.own_files() {
            let _ = std::fs::remove_file(path);
        }
    }
    made
}

fn make(folder: &Folder, options: InitOptions) -> Result<InitOutcome, ApiError> {
    let settings = Settings {
        version: 1,
        network: options.network,
        port: free_port()?,
        attachments: crate::attachments::Policy::default(),
    };
    let phrase = RecoveryPhrase::generate();
    let secrets = NodeSecrets::generate();
    let founder = Staff {
        name: options.staff.trim().to_owned(),
        key: generate_signing_key(),
    };
    let params = if options.test_kdf {
        Argon2Params::insecure_for_tests()
    } else {
        Argon2Params::RECOMMENDED
    };
    let (vault, unlocked) = VaultFile::create(
        secrets,
        &founder.name,
        options.passphrase.expose(),
        founder.key.clone(),
        params,
    )
    .map_err(failure::vault)?;
    let secrets = &unlocked.secrets;
    let store = Store::create(&folder.store(), &secrets.storage).map_err(failure::store)?;
    let (notices, _unheard) = mpsc::unbounded_channel();
    let mut core = Core::fresh(store, secrets.chain.clone(), system_clock(), notices);
    let endpoint = *iroh::SecretKey::from_bytes(&secrets.endpoint)
        .public()
        .as_bytes();
    let roster = Control::RosterGenesis {
        name: options.clinic.trim().to_owned(),
        root: phrase.to_root_key().actor(),
        chain: secrets.chain.chain(),
        endpoint,
        hpke: secrets.hpke.public(),
    };
    let mut roles = vec![roster_role(options.role), salus_audit::Role::Admin];
    roles.sort_unstable();
    roles.dedup();
    let clinic = core.found(&phrase.to_root_key(), &roster, &founder, roles)?;
    let view = core.clinic_view(&dialable(settings.listen()));
    folder.write_settings(&settings)?;
    // The vault comes last: a folder with a vault is a whole clinic.
    folder.write_vault(&vault.encode())?;
    Ok(InitOutcome {
        clinic_id: clinic.to_string(),
        clinic_name: view.name,
        staff: founder.name,
        recovery_words: phrase.words().to_string(),
        addresses: view.addresses,
    })
}

fn check_name(what: &str, name: &str) -> Result<(), ApiError> {
    let length = name.trim().len();
    if length == 0 || length > salus_audit::MAX_NAME_BYTES || name.chars().any(char::is_control) {
        return Err(ApiError::usage(format!(
            "a {what} name has 1 to {} bytes and no control characters",
            salus_audit::MAX_NAME_BYTES
        )));
    }
    Ok(())
}
