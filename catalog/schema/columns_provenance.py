"""Registry: identity, runs, files and work units."""

from __future__ import annotations

from catalog.schema.column import ColumnDefinition as Col

COLUMNS = (
    Col("id", "int", "", "meta.id", "Row number within the table; carries no meaning outside this database"),
    Col("run_id", "int", "", "meta.id.assoc", "Run that wrote the row", mrt="Run"),
    Col(
        "flags", "bigint", "", "meta.code.qual", "Caveats, a sum of bits: see the flag registry", mrt="f_Src"
    ),
    Col("recipe", "text", "", "meta.id", "Name of the recipe", mrt="Recipe"),
    Col("recipe_id", "int", "", "meta.id.assoc", "Recipe"),
    Col(
        "source_id", "int", "", "meta.id;meta.main", "Stable number of the source in this catalog", mrt="Seq"
    ),
    Col("observation_id", "int", "", "meta.id.assoc", "Observation"),
    Col("event_set_id", "int", "", "meta.id.assoc", "Event set"),
    Col("extraction_id", "int", "", "meta.id.assoc", "Extraction"),
    Col("band_id", "int", "", "meta.id.assoc", "Band"),
    Col("response_id", "int", "", "meta.id.assoc", "Response", null="none made"),
    Col("merge_id", "int", "", "meta.id.assoc", "Merge"),
    Col("input_file_id", "int", "", "meta.id.assoc", "Input file"),
    Col("started_at", "time", "", "time.start;meta.dataset", "When the run began, UTC"),
    Col("finished_at", "time", "", "time.end;meta.dataset", "When the run ended, UTC", null="not ended"),
    Col("state", "text", "", "meta.code.status", "Outcome: running, done, partial or failed"),
    Col("command", "text", "", "meta.note", "Command line or call that started the run"),
    Col("user_name", "text", "", "meta.id.PI", "Who ran it", null="not known"),
    Col("host", "text", "", "meta.id", "Machine that ran it", null="not known"),
    Col("code_version", "text", "", "meta.version;meta.software", "Version of srccat"),
    Col("library_versions", "json", "", "meta.version;meta.software", "Versions of the libraries used"),
    Col("settings", "json", "", "meta.note", "Full settings of the run"),
    Col("settings_hash", "text", "", "meta.checksum", "SHA-256 of the settings"),
    Col("stages", "json", "", "meta.note", "Stages executed"),
    Col("seed", "bigint", "", "meta.number", "Seed of all random numbers", null="no random numbers used"),
    Col("reasons", "json", "", "meta.note", "Count of units and events by reason"),
    Col(
        "process",
        "text",
        "",
        "meta.id;meta.software",
        "Process of a run that holds the catalog: number and start, to tell whether it still runs",
        null="the command is no run, or of an older srccat",
    ),
    Col(
        "heartbeat_at",
        "time",
        "",
        "time;meta.dataset",
        "When the run last stored something, UTC",
        null="the command is no run, or of an older srccat",
    ),
    Col("path", "text", "", "meta.ref.url;meta.file", "Path or URL of the file"),
    Col("size", "bigint", "byte", "phys.size;meta.file", "Size of the file"),
    Col("sha256", "text", "", "meta.checksum;meta.file", "SHA-256 of the file"),
    Col(
        "file_kind",
        "text",
        "",
        "meta.code.class;meta.file",
        "What the file is: evt2, asol1, bpix1, msk1, ...",
    ),
    Col("stage", "text", "", "meta.id;meta.software", "Stage of the work unit"),
    Col("scope", "text", "", "meta.id", "Observation and role the unit belongs to, or 'all' for merges"),
    Col("fingerprint", "text", "", "meta.checksum", "Hash of all inputs that can change the unit's result"),
    Col(
        "inputs",
        "json",
        "",
        "meta.checksum",
        "Short hash of each input that went into the fingerprint: tells what changed",
        null="computed by an older srccat",
    ),
    Col(
        "result_hash",
        "text",
        "",
        "meta.checksum",
        "Hash of the unit's result: what later stages depend on",
        null="the unit failed",
    ),
    Col("reason", "text", "", "meta.code.error", "Why the unit has no result", null="it has one"),
    Col("message", "text", "", "meta.note", "Sentence that goes with the reason", null="no reason to give"),
    Col("content", "json", "", "meta.note", "Frozen content of the recipe"),
    Col("content_hash", "text", "", "meta.checksum", "SHA-256 of the content"),
)
