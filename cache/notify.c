/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The forms follow; until then nothing is understood. */
#include "cache/notify.h"
void notify_feed(struct notify_parser *p,const void*b,size_t n,void(*e)(void*,const struct notify_event*),void*c){(void)p;(void)b;(void)n;(void)e;(void)c;}
const char *notify_form_name(enum notify_form f){(void)f;return "";}
bool notify_form_is_exact(enum notify_form f){return f!=NOTIFY_FORM_BROKEN&&f!=NOTIFY_FORM_UNKNOWN;}
