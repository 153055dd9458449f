/**
 * What every engine must do, as tests: {@link dev.forkd.contract.EngineContract} runs unchanged on
 * each. A test here knows no namespace, cgroup or virtual machine.
 */
@NullMarked
package dev.forkd.contract;

import org.jspecify.annotations.NullMarked;
