package dev.forkd.store;

import java.util.List;

/** Every form the registry has had; {@code PRAGMA user_version} counts how many were applied. */
final class Schema {
  /** Never change an entry: append one. */
  static final List<String> MIGRATIONS =
      List.of(
          """
          CREATE TABLE snapshots (
            tag TEXT PRIMARY KEY,
            dir TEXT NOT NULL,
            created INTEGER NOT NULL,
            status TEXT NOT NULL,
            recipe TEXT NOT NULL,
            recipe_name TEXT NOT NULL,
            base_dir TEXT NOT NULL,
            engine TEXT NOT NULL,
            image_digest TEXT NOT NULL,
            warm_ms INTEGER,
            report TEXT NOT NULL,
            warning TEXT NOT NULL,
            branched_from TEXT NOT NULL,
            pause_ms INTEGER,
            parent_tag TEXT NOT NULL
          ) STRICT;
          CREATE TABLE sandboxes (
            id TEXT PRIMARY KEY,
            tag TEXT NOT NULL,
            created INTEGER NOT NULL,
            engine TEXT NOT NULL,
            state TEXT NOT NULL,
            pid INTEGER NOT NULL,
            memory_limit_mib INTEGER NOT NULL,
            ended TEXT NOT NULL
          ) STRICT;
          CREATE TABLE events (
            seq INTEGER PRIMARY KEY AUTOINCREMENT,
            at INTEGER NOT NULL,
            kind TEXT NOT NULL,
            subject TEXT NOT NULL,
            message TEXT NOT NULL
          ) STRICT
          """,
          """
          ALTER TABLE sandboxes ADD COLUMN stamp TEXT NOT NULL DEFAULT ''
          """,
          // NULL: written before scripts were kept; nobody knows what the file held then.
          """
          ALTER TABLE snapshots ADD COLUMN warm_script TEXT
          """,
          // Branches and workspaces.
          """
          ALTER TABLE snapshots ADD COLUMN parent_hash TEXT NOT NULL DEFAULT '';
          ALTER TABLE snapshots ADD COLUMN memory_physical INTEGER NOT NULL DEFAULT 0;
          ALTER TABLE snapshots ADD COLUMN memory_logical INTEGER NOT NULL DEFAULT 0;
          ALTER TABLE snapshots ADD COLUMN diff_ms INTEGER;
          ALTER TABLE snapshots ADD COLUMN diff_physical INTEGER NOT NULL DEFAULT 0;
          ALTER TABLE snapshots ADD COLUMN diff_logical INTEGER NOT NULL DEFAULT 0;
          ALTER TABLE snapshots ADD COLUMN durable INTEGER NOT NULL DEFAULT 0;
          ALTER TABLE sandboxes ADD COLUMN branches INTEGER NOT NULL DEFAULT 0;
          ALTER TABLE sandboxes ADD COLUMN last_branch TEXT NOT NULL DEFAULT '';
          CREATE TABLE workspaces (
            name TEXT PRIMARY KEY,
            id TEXT NOT NULL,
            source TEXT NOT NULL,
            status TEXT NOT NULL,
            state_tag TEXT NOT NULL,
            sandbox TEXT NOT NULL,
            last_branch TEXT NOT NULL,
            created INTEGER NOT NULL,
            active INTEGER NOT NULL,
            netns INTEGER NOT NULL,
            memory_limit_mib INTEGER NOT NULL
          ) STRICT
          """,
          // What the next daemon takes over from this one.
          """
          CREATE TABLE templates (
            tag TEXT PRIMARY KEY,
            name TEXT NOT NULL
          ) STRICT;
          CREATE TABLE terms (
            id TEXT PRIMARY KEY,
            name TEXT NOT NULL,
            labels TEXT NOT NULL,
            ttl_ms INTEGER NOT NULL,
            idle_ms INTEGER NOT NULL,
            since_nanos INTEGER NOT NULL,
            ready_micros INTEGER NOT NULL
          ) STRICT
          """,
          // What people say of a snapshot.
          """
          ALTER TABLE snapshots ADD COLUMN labels TEXT NOT NULL DEFAULT '';
          ALTER TABLE snapshots ADD COLUMN secrets INTEGER NOT NULL DEFAULT 0
          """);

  private Schema() {}
}
