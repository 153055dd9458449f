package dev.forkd.engine.process;

import dev.forkd.contract.Bench;
import dev.forkd.contract.EngineContract;
import java.nio.file.Path;
import org.junit.jupiter.api.io.TempDir;

/** The contract of all engines, on the process engine. */
class ProcessEngineContractIT extends EngineContract {
  @TempDir static Path dir;

  @Override
  protected Bench makeBench() {
    ProcessHost.requireIt();
    return ProcessHost.bench(new ProcessEngine(ProcessHost.paths(dir)));
  }

  @Override
  protected Object holdings() throws Exception {
    return ProcessHost.holdings(dir);
  }
}
