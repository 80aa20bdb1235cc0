// The threads that share the work of a kernel.
//
// Not OpenMP: at the end of its parallel region the caller waits for every thread, also for one
// that has not begun because another library's threads spin on its core (PyTorch's and OpenBLAS's
// do, and a time slice is milliseconds). Here parts are claimed one by one, by whoever is there: a
// caller whose helpers are late does the work alone. And idle helpers leave the core to others.

#pragma once

namespace tinygrad_ai {

// Calls work(context, part) for each part in [0, parts), on this thread and on helpers; returns
// when all are done. Called from several threads at once, one of them gets the helpers.
void share_out(int parts, void (*work)(void *, int), void *context);

// As many as OMP_NUM_THREADS says, or as there are processors for this process.
int usual_threads();

} // namespace tinygrad_ai
