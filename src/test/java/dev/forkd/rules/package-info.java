/**
 * The house rules that a machine can check: who may use whom, what may not be called, how long
 * things may get. They read classes and text only, so they run in seconds and in every check.
 */
package dev.forkd.rules;
