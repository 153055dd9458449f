package dev.forkd.engine.vm;

import dev.forkd.contract.Bench;
import dev.forkd.contract.EngineContract;
import java.nio.file.Path;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.api.io.TempDir;

/** The contract of all engines, on virtual machines; emulated where KVM does not work. */
@Tag("vm")
class VmEngineContractIT extends EngineContract {
  @TempDir static Path dir;

  @Override
  protected Bench makeBench() {
    VmHost.requireIt();
    return new Bench(new VmEngine(VmHost.paths(dir)), VmHost.image());
  }

  @Override
  protected Object holdings() throws Exception {
    return VmHost.holdings(dir);
  }
}
