/* A bar on the terminal while a command works; nothing where stderr is no terminal. */
#include "tools/tool.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { BAR_COLUMNS = 24, REFRESH_MS = 100 };

/* Lines may come from several threads, the bar from one. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool visible;

static void hide_locked(void)
{
    if (visible)
        fputs("\r\033[K", stderr);
    visible = false;
}

void tool_progress_hide(void)
{
    pthread_mutex_lock(&lock);
    hide_locked();
    pthread_mutex_unlock(&lock);
}

void tool_progress_start(struct tool_progress *progress, const char *what, uint64_t total, bool sizes)
{
    progress->what = what;
    progress->total = total;
    progress->sizes = sizes;
    progress->started = trib_now();
    progress->shown = isatty(STDERR_FILENO) ? 0 : INT64_MAX;
}

static struct tool_word word_of(const struct tool_progress *progress, uint64_t number)
{
    struct tool_word word;

    if (progress->sizes)
        return tool_word_size(number);
    snprintf(word.text, sizeof(word.text), "%llu", (unsigned long long)number);
    return word;
}

static void draw(const struct tool_progress *progress, uint64_t done, int64_t elapsed)
{
    char bar[BAR_COLUMNS + 1];
    char line[256];
    size_t filled = 0;
    int len;

    if (progress->total != 0) {
        filled = done >= progress->total ? BAR_COLUMNS : (size_t)((double)done / (double)progress->total * BAR_COLUMNS);
        memset(bar, '.', BAR_COLUMNS);
        memset(bar, '#', filled);
        bar[BAR_COLUMNS] = '\0';
        len = snprintf(line, sizeof(line), "\r\033[K%s [%s] %s of %s", progress->what, bar, word_of(progress, done).text,
                       word_of(progress, progress->total).text);
    } else {
        len = snprintf(line, sizeof(line), "\r\033[K%s %s", progress->what, word_of(progress, done).text);
    }
    if (progress->sizes && len > 0 && (size_t)len < sizeof(line))
        snprintf(line + len, sizeof(line) - (size_t)len, ", %s", tool_word_rate(done, elapsed).text);
    fputs(line, stderr);
}

void tool_progress_show(struct tool_progress *progress, uint64_t done)
{
    int64_t now;

    if (progress->shown == INT64_MAX)
        return;
    now = trib_now();
    if (now - progress->shown < REFRESH_MS * INT64_C(1000000))
        return;
    progress->shown = now;
    pthread_mutex_lock(&lock);
    draw(progress, done, now - progress->started);
    visible = true;
    pthread_mutex_unlock(&lock);
}

void tool_progress_end(struct tool_progress *progress)
{
    tool_progress_hide();
    progress->shown = INT64_MAX;
}
