package dev.forkd.engine.process;

import dev.forkd.engine.network.Networks;
import java.util.function.Supplier;

/** What every template of one launcher works with. */
record Surroundings(
    ProcessPaths paths,
    LauncherClient launcher,
    Family family,
    TemplateNames names,
    Supplier<Networks> networks) {}
