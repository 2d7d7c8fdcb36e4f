"""The tables of conversations.db.

`turn.number` is unique in the file. `unfinished_turn` has a row for each durable turn, from before its first step until the
transaction that stores the turn: after a crash of the daemon nothing is lost and nothing is stored twice.
"""

from __future__ import annotations

MIGRATIONS = (
    """
    CREATE TABLE conversation (
        number INTEGER PRIMARY KEY,
        owner TEXT NOT NULL,
        id TEXT NOT NULL,
        title TEXT NOT NULL,
        system TEXT NOT NULL,
        created INTEGER NOT NULL,
        updated INTEGER NOT NULL,
        used INTEGER NOT NULL UNIQUE,
        dropped_turns INTEGER NOT NULL DEFAULT 0,
        UNIQUE (owner, id)
    );
    CREATE TABLE turn (
        number INTEGER PRIMARY KEY,
        conversation INTEGER NOT NULL REFERENCES conversation ON DELETE CASCADE,
        asked INTEGER NOT NULL,
        answered INTEGER NOT NULL,
        user TEXT NOT NULL,
        assistant TEXT NOT NULL,
        thinking TEXT NOT NULL,
        tokens BLOB NOT NULL
    );
    CREATE INDEX turns_of_conversation ON turn (conversation, number);
    """,
    """
    ALTER TABLE conversation ADD COLUMN head INTEGER;
    ALTER TABLE turn ADD COLUMN parent INTEGER;
    ALTER TABLE turn ADD COLUMN request TEXT NOT NULL DEFAULT '';
    ALTER TABLE turn ADD COLUMN dropped_turns INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE turn ADD COLUMN finish_reason TEXT NOT NULL DEFAULT '';
    ALTER TABLE turn ADD COLUMN completion_tokens INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE turn ADD COLUMN seconds REAL NOT NULL DEFAULT 0;
    ALTER TABLE turn ADD COLUMN tokens_per_second REAL NOT NULL DEFAULT 0;
    ALTER TABLE turn ADD COLUMN cut_text TEXT NOT NULL DEFAULT '';
    UPDATE turn SET
        parent = (
            SELECT max(number) FROM turn AS earlier
            WHERE earlier.conversation = turn.conversation AND earlier.number < turn.number
        ),
        dropped_turns = (SELECT dropped_turns FROM conversation WHERE number = turn.conversation);
    UPDATE conversation SET head = (SELECT max(number) FROM turn WHERE conversation = conversation.number);
    CREATE INDEX turns_of_request ON turn (request) WHERE request != '';
    CREATE TABLE unfinished_turn (request TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;
    """,
)
