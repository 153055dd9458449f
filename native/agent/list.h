// Intrusive circular list: the head is a node; an unlinked node points at nothing.
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct node {
  struct node *next, *previous;
};

#define CONTAINER(pointer, type, member) \
  ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

// Walks a list whose current entry may unlink itself.
#define LIST_EACH(at, head)                                                          \
  for (struct node *at = (head)->next, *at##_next = at->next; at != (head);          \
       at = at##_next, at##_next = at->next)

static inline void list_init(struct node *head) { head->next = head->previous = head; }

static inline bool list_empty(const struct node *head) { return head->next == head; }

static inline void list_insert_before(struct node *at, struct node *n) {
  n->next = at;
  n->previous = at->previous;
  at->previous->next = n;
  at->previous = n;
}

static inline void list_append(struct node *head, struct node *n) { list_insert_before(head, n); }

static inline bool list_linked(const struct node *n) { return n->next != NULL; }

static inline void list_remove(struct node *n) {
  if (!n->next) return;
  n->next->previous = n->previous;
  n->previous->next = n->next;
  n->next = n->previous = NULL;
}
