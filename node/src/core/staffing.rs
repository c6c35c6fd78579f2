//! The clinic's own roster: who works here, and the lives of its store.

use minicbor::bytes::ByteArray;
use salus_api::ApiError;
use salus_audit::{
    ActorId, ChainId, Control, LogId, MAX_TREE_SIZE, Role, SigningKey, StaffMember, Tree,
};
use salus_vault::NodeSecrets;

use super::{Core, Said, documents};

/// Where the store keeps the HPKE secrets of earlier lives (sealed by the index key): grants made to them stay readable.
pub(super) const SECRET_PAST_KEYS: &str = "hpke-past";
/// Where the store keeps the keys of a life that has begun in the roster and is not in the vault yet.
const SECRET_NEXT_LIFE: &str = "next-life";

impl Core {
    pub(super) fn own_roster(&self) -> Result<LogId, ApiError> {
        self.rosters
            .get(self.me())
            .map(|roster| roster.log())
            .ok_or_else(|| ApiError::integrity("this clinic's own roster is missing"))
    }

    /// The root key that recovery words give, if it is this clinic's.
    pub fn root_key(&self, words: &str) -> Result<SigningKey, ApiError> {
        let phrase: salus_vault::RecoveryPhrase = words
            .parse()
            .map_err(|error: salus_vault::PhraseError| ApiError::usage(error.to_string()))?;
        let key = phrase.to_root_key();
        let root = self.rosters.get(self.me()).map(|roster| roster.root());
        if root == Some(key.actor()) {
            Ok(key)
        } else {
            Err(
                ApiError::refused("these are another clinic's recovery words")
                    .hint("`salus init` printed this clinic's, once"),
            )
        }
    }

    /// Certifies a person in the roster. The caller has sealed the key in the vault before: a slot without a certificate is
    /// harmless, a certificate without a slot is a person who cannot work.
    pub fn certify(
        &mut self,
        signer: &SigningKey,
        name: &str,
        key: ActorId,
        roles: Vec<Role>,
    ) -> Result<(), ApiError> {
        let log = self.own_roster()?;
        let certify = Control::Certify {
            key,
            name: name.to_owned(),
            roles,
        };
        self.transact(|core, pending| {
            core.append(pending, signer, log, None, Said::Clear(&certify))
                .map(|_| ())
        })
    }

    /// The person of this name who works here now.
    pub fn member_named(&self, name: &str) -> Option<StaffMember> {
        let name = name.trim().to_lowercase();
        let roster = self.rosters.get(self.me())?;
        roster
            .staff_list()
            .find(|member| !member.retired && member.name.to_lowercase() == name)
            .cloned()
    }

    /// Whether a key is certified here and not retired.
    pub fn is_certified(&self, key: ActorId) -> bool {
        self.rosters
            .staff(self.me(), key)
            .is_some_and(|member| !member.retired)
    }

    /// Ends a key at what this clinic has written so far: nothing signed by it beyond that counts anywhere.
    pub fn retire(&mut self, signer: &SigningKey, key: ActorId) -> Result<(), ApiError> {
        let log = self.own_roster()?;
        let earlier: Vec<ChainId> = self
            .rosters
            .get(self.me())
            .into_iter()
            .flat_map(|roster| roster.incarnations())
            .map(|life| life.chain)
            .filter(|chain| *chain != self.chain_id())
            .collect();
        // An earlier life's tree is not held: what is held of its entries is what counts.
        let mut cuts = self.highest_indices(&earlier)?;
        self.transact(|core, pending| {
            if let Some(last) = pending.tree.size().checked_sub(1) {
                cuts.push((core.chain_id(), last));
            }
            cuts.sort_unstable();
            let retire = Control::Retire { key, cuts };
            core.append(pending, signer, log, None, Said::Clear(&retire))
                .map(|_| ())
        })
    }

    /// The highest tree index held of each of these chains, over all logs; chains that wrote nothing are left out.
    fn highest_indices(&mut self, chains: &[ChainId]) -> Result<Vec<(ChainId, u64)>, ApiError> {
        let mut highest = std::collections::BTreeMap::new();
        if chains.is_empty() {
            return Ok(Vec::new());
        }
        let logs: Vec<LogId> = self.logs.summaries().keys().copied().collect();
        for log in logs {
            let found = match self.log(log) {
                Ok(state) => state.cuts_for(chains.iter().copied()),
                // Of a damaged log what is intact says how far the chain came.
                Err(_) => self
                    .store
                    .log_headers_intact(log)
                    .map_err(super::failure::store)?
                    .0
                    .iter()
                    .map(|(_, entry)| (entry.header().chain, entry.header().tree_index))
                    .filter(|(chain, _)| chains.contains(chain))
                    .collect(),
            };
            for (chain, index) in found {
                let known = highest.entry(chain).or_insert(index);
                *known = index.max(*known);
            }
            self.logs.trim();
        }
        Ok(highest.into_iter().collect())
    }

    /// Begins a new life of this clinic's store: another chain, a tree that starts anew, the old chain closed.
    ///
    /// `last`: what the old chain wrote beyond this index does not count; `None` where all of it does (a restored backup: others may give
    /// back what came after it). The caller puts `next` into the vault afterwards and opens the store again; until then
    /// [`Core::next_life`] tells.
    pub fn incarnate(
        &mut self,
        signer: &SigningKey,
        next: &NodeSecrets,
        endpoint: [u8; 32],
        last: Option<u64>,
    ) -> Result<(), ApiError> {
        let log = self.own_roster()?;
        let old = self.chain_id();
        let opened = self.opened()?;
        let index_key = opened.index_key.clone();
        let mut past: Vec<ByteArray<32>> = opened
            .hpke_secrets()
            .map(|secret| (*secret.to_bytes()).into())
            .collect();
        // A life that began and never reached the vault was given keys, too.
        let kept = self
            .store
            .secret(SECRET_NEXT_LIFE, &index_key)
            .map_err(super::failure::store)?;
        let middle = kept
            .as_deref()
            .and_then(|bytes| bytes.get(64..96)?.try_into().ok());
        past.extend(middle.map(|bytes: [u8; 32]| ByteArray::from(bytes)));
        past.truncate(super::keys::MAX_PAST_KEYS);
        let control = Control::Incarnation {
            chain: next.chain.chain(),
            endpoint,
            hpke: next.hpke.public(),
            closes: vec![(old, last.unwrap_or(MAX_TREE_SIZE))],
        };
        let secrets = vec![
            (SECRET_PAST_KEYS.to_owned(), documents::encoded(&past)),
            (SECRET_NEXT_LIFE.to_owned(), next_life(next)),
        ];
        let was = std::mem::replace(&mut self.chain, next.chain.clone());
        let begun = self.transact(|core, pending| {
            pending.tree = Tree::new();
            pending.batch.restart_tree = true;
            pending.batch.secrets = secrets;
            core.append(pending, signer, log, None, Said::Clear(&control))
                .map(|_| ())
        });
        if begun.is_err() {
            self.chain = was;
        }
        begun
    }

    /// Goes on with the keys of the life that the roster has begun already.
    pub fn write_with(&mut self, chain: SigningKey) {
        self.chain = chain;
    }

    /// The index of the last entry that this life wrote.
    pub fn last_index(&self) -> Option<u64> {
        self.tree.size().checked_sub(1)
    }

    /// Whether this store's roster closed the chain that this node writes with: its life is over.
    pub fn is_superseded(&self) -> bool {
        let roster = self.rosters.get(self.me());
        roster.is_some_and(|roster| {
            roster
                .incarnation(self.chain_id())
                .is_none_or(|life| life.closed.is_some())
        })
    }

    /// Keys of a life that has begun in the roster and did not reach the vault, because the process ended in between.
    pub fn next_life(&mut self, held: &NodeSecrets) -> Result<Option<NodeSecrets>, ApiError> {
        let key = held.index.clone();
        let kept = self
            .store
            .secret(SECRET_NEXT_LIFE, &key)
            .map_err(super::failure::store)?;
        let Some(bytes) = kept else { return Ok(None) };
        let next = read_next_life(&bytes, held).ok_or_else(|| {
            ApiError::integrity("the keys of this store's next life cannot be read")
                .hint("restore the data folder from a backup")
        })?;
        let current = self
            .rosters
            .get(self.me())
            .and_then(|roster| roster.current());
        let due = current.is_some_and(|life| life.chain == next.chain.chain())
            && next.chain.chain() != held.chain.chain();
        Ok(due.then_some(next))
    }
}

/// `chain seed ‖ endpoint ‖ hpke`, 96 bytes; storage and index keys stay.
fn next_life(next: &NodeSecrets) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(96);
    bytes.extend_from_slice(&*next.chain.to_seed());
    bytes.extend_from_slice(&*next.endpoint);
    bytes.extend_from_slice(&*next.hpke.to_bytes());
    bytes
}

fn read_next_life(bytes: &[u8], held: &NodeSecrets) -> Option<NodeSecrets> {
    let part = |from: usize| -> Option<[u8; 32]> { bytes.get(from..from + 32)?.try_into().ok() };
    let mut next = held.clone();
    next.chain = SigningKey::from_seed(part(0)?);
    next.endpoint = zeroize::Zeroizing::new(part(32)?);
    next.hpke = salus_vault::HpkeSecret::from_bytes(part(64)?);
    (bytes.len() == 96).then_some(next)
}
