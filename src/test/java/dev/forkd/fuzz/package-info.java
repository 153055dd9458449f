/** What fuzzing has found, and where it starts from, tried again at every run of the tests. */
@NullMarked
package dev.forkd.fuzz;

import org.jspecify.annotations.NullMarked;
