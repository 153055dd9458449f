package dev.forkd.engine.process;

/** What every template of one launcher works with. */
record Surroundings(
    ProcessPaths paths, LauncherClient launcher, Family family, TemplateNames names) {}
